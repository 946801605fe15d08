/* Takes secret values out of a stream of bytes: every stretch that is part of an occurrence of one
 * becomes MASK_SIGN, wherever the stream is cut into pieces. Only the bytes at the end that may be
 * the beginning of a value are held back. Knows nothing of jobs. */
#ifndef QUEUECTL_MASK_H
#define QUEUECTL_MASK_H

#include "util.h"

#define MASK_SIGN "***"

/* Shorter ones are in every text: to mask them would hide the text and not the secret. Of a value
 * of several lines (a key file) each line counts, too, for programs print and indent by line. */
enum { MASK_VALUE_MIN = 4, MASK_LINE_MIN = 8 };

struct mask; /* the values; shared by all streams of a job */

struct mask *mask_new(void);
void mask_add(struct mask *m, const char *value, size_t len);
/* No value comes any more. True if there is anything to look for. */
bool mask_seal(struct mask *m);
void mask_free(struct mask *m); /* the values are wiped */

struct mask_stretch {
    size_t from, to; /* in held */
};
struct mask_stream {                /* {0}: at the beginning */
    struct buf held;                /* read and not given yet */
    struct mask_stretch *stretches; /* of it, to be masked; ordered and apart from each other */
    size_t stretches_len, stretches_cap;
    uint32_t state;
    bool inside; /* the last byte given was masked */
};

/* Take the next bytes of a stream; what is sure is added to out. */
void mask_put(const struct mask *m, struct mask_stream *s, const char *p, size_t len,
              struct buf *out);
/* The stream has ended: add what was held back. */
void mask_end(struct mask_stream *s, struct buf *out);
void mask_stream_free(struct mask_stream *s);

/* A text by itself. `cut`: the rest of it may have been cut off, so that a beginning of a value at
 * its end is masked as well. Yours to free. */
char *mask_text(const struct mask *m, const char *text, bool cut);

#endif
