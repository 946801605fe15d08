#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util.h"

static int64_t read_us(clockid_t id) {
    struct timespec ts = {0};
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void) {
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void) {
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void) {
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void) {
    return read_us(CLOCK_BOOTTIME) / 1000;
}

const char *clock_boot_id(void) {
    static char id[40];
    if (id[0])
        return id;
    struct buf text = {0};
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL) == 0)
        snprintf(id, sizeof(id), "%.36s", text.data);
    else
        snprintf(id, sizeof(id), "unknown");
    buf_free(&text);
    return id;
}
