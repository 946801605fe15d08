#include "ids.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"

enum { SEQ_BITS = 15 };

void id_make(char out[JOB_ID_LEN + 1]) {
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    static uint64_t last;
    uint64_t now = (uint64_t)clock_wall_ms() << SEQ_BITS;
    if (now > last) {
        /* Starts in the lower half, so that counting up rarely touches the time part. */
        uint16_t start = 0;
        if (getrandom(&start, sizeof(start), 0) < 0)
            start = 0;
        last = now | (start & 0x3fff);
    } else {
        last++;
    }
    uint64_t rest = last;
    for (int i = JOB_ID_LEN - 1; i >= 0; i--) {
        out[i] = digits[rest & 31];
        rest >>= 5;
    }
    out[JOB_ID_LEN] = '\0';
}

bool id_is_valid(const char *id) {
    size_t len = strlen(id);
    if (len < 1 || len > ID_MAX || id[0] == '-')
        return false;
    return strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-") == len;
}

int uid_make(char out[UID_LEN + 1], struct err *err) {
    unsigned char raw[UID_LEN / 2];
    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        return err_set(err, ERR_FAILED, "getrandom: %s", strerror(errno));
    for (size_t i = 0; i < sizeof(raw); i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
    return 0;
}
