#include "duration.h"

#include <inttypes.h>

char *duration_text(int64_t ms) {
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}};
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms >= units[i].ms)
            buf_printf(&b, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
        ms %= units[i].ms;
    }
    if (ms >= 1000 || !b.len)
        buf_printf(&b, "%.10g%s", ms >= 1000 || !ms ? (double)ms / 1000 : (double)ms,
                   ms >= 1000 || !ms ? "s" : "ms");
    else if (ms)
        buf_printf(&b, "%" PRId64 "ms", ms);
    return b.data;
}
