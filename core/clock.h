/* Every clock read of the program. Units: ms and us; kinds: wall (what people mean by a time),
 * mono (limits of running jobs: stands still in suspend), boot (leases: runs on in suspend). */
#ifndef QUEUECTL_CLOCK_H
#define QUEUECTL_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_boot_ms(void);

/* The kernel's boot id (36 characters): boot-clock values compare only within one boot. */
const char *clock_boot_id(void);

#endif
