/* The SQLite backend of the storage interface. */
#ifndef QUEUECTL_STORE_SQLITE_H
#define QUEUECTL_STORE_SQLITE_H

#include "store.h"

extern const struct store_ops store_sqlite_ops;

/* Version of the SQLite library, and whether it has the WAL-reset bug (3.7.0 to 3.51.2, but for
 * 3.50.7 and 3.44.6), which our way of checkpointing avoids. */
const char *store_sqlite_version(bool *wal_reset_bug);

#endif
