/* Bounded, byte-exact capture of what a running job prints: the first OUTPUT_HEAD and the last
 * OUTPUT_TAIL bytes over both streams, in the order of reading. Holds only what is not stored yet,
 * in at most OUTPUT_HELD bytes however much is printed; never looks at lines. */
#ifndef QUEUECTL_OUTPUT_H
#define QUEUECTL_OUTPUT_H

#include "store.h"

enum {
    OUTPUT_HELD = OUTPUT_HEAD + 2 * OUTPUT_TAIL, /* then the middle is dropped */
    OUTPUT_PIECES = 512,                         /* then storing is due at once */
    OUTPUT_ERROR_TAIL = 1024,                    /* last bytes of stderr, for last_error */
};

struct output {
    int64_t total;   /* bytes printed so far */
    struct buf held; /* not stored yet */
    struct piece {   /* stretches of `held` that came from one stream at about one time */
        int64_t offset, at;
        size_t start, len;
        int stream;
    } * pieces;
    size_t pieces_len, pieces_cap;
    char error_tail[OUTPUT_ERROR_TAIL];
    size_t error_len;
};

/* `stream` 1 or 2; `at` wall ms. */
void output_put(struct output *o, int stream, int64_t at, const char *data, size_t len);
/* What is to be stored, in order: the chunks point into o until the next call on it. The array is
 * yours to free. */
size_t output_unstored(const struct output *o, struct chunk **chunks);
/* It is stored, durably. */
void output_stored(struct output *o);
void output_free(struct output *o);

#endif
