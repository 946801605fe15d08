/* Packed lists: how argv, env and name lists are stored and sent. Entries follow one another, each
 * closed by a NUL (neither arguments nor environment may contain one). The first byte of an entry
 * says what the rest is. */
#ifndef QUEUECTL_PACK_H
#define QUEUECTL_PACK_H

#include "util.h"

enum pack_kind {
    PACK_TEXT = '=',   /* "=TEXT": an argument, or NAME=VALUE of an environment */
    PACK_UNSET = '-',  /* "-NAME": take NAME out of the environment */
    PACK_LATER = '@',  /* "@PARENT:KEY" (argv) or "@PARENT:KEY=NAME" (env): output KEY of the job
                        * numbered PARENT, known once that job is done */
    PACK_SECRET = '$', /* "$NAME=PLACE" (env): the value at PLACE (secret.h), read when the job
                        * starts and never stored */
};

/* Walk over the entries: *pos starts at 0. Returns the next entry (kind byte first) or NULL at the
 * end; a list that is not closed by a NUL ends before its broken entry. */
const char *pack_next(const char *list, size_t len, size_t *pos);

void pack_add(struct buf *list, enum pack_kind kind, const char *text);

/* Lists of "=KEY=VALUE". The value of KEY, or NULL; valid until the list changes. */
const char *pack_value(const struct buf *list, const char *key);
void pack_add_value(struct buf *list, const char *key, const char *value);
void pack_add_number(struct buf *list, const char *key, int64_t value);
/* Take out the entry of KEY: whether there was one. */
bool pack_drop(struct buf *list, const char *key);

/* Split "PARENT:KEY[=NAME]" (without the kind byte). 0, or -1 if it is not one. */
int pack_later(const char *text, long long *parent, const char **key, size_t *key_len,
               const char **name);

#endif
