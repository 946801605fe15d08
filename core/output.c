#include "output.h"

#include <stdlib.h>
#include <string.h>

enum {
    PIECE_MAX = 65536, /* so that the store can let go of an old tail in small steps */
    PIECES_HELD = 16 * OUTPUT_PIECES, /* while the store cannot be written */
    SAME_TIME_MS = 20,                /* stretches closer than this share a time stamp */
};

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static void put_error_tail(struct output *o, const char *data, size_t len) {
    if (len > OUTPUT_ERROR_TAIL) {
        data += len - OUTPUT_ERROR_TAIL;
        len = OUTPUT_ERROR_TAIL;
    }
    size_t keep = min_size(o->error_len, OUTPUT_ERROR_TAIL - len);
    memmove(o->error_tail, o->error_tail + o->error_len - keep, keep);
    memcpy(o->error_tail + keep, data, len);
    o->error_len = keep + len;
}

/* Drop what lies between head and tail. Pieces end at OUTPUT_HEAD, so a piece belongs wholly to the
 * head or can be cut in front. */
static void drop_middle(struct output *o) {
    int64_t tail_from = o->total - OUTPUT_TAIL;
    size_t kept = 0, used = 0;
    for (size_t i = 0; i < o->pieces_len; i++) {
        struct piece p = o->pieces[i];
        int64_t end = p.offset + (int64_t)p.len;
        if (p.offset >= OUTPUT_HEAD && end <= tail_from)
            continue;
        if (p.offset >= OUTPUT_HEAD && p.offset < tail_from) {
            size_t cut = (size_t)(tail_from - p.offset);
            p.offset += (int64_t)cut;
            p.start += cut;
            p.len -= cut;
        }
        memmove(o->held.data + used, o->held.data + p.start, p.len);
        p.start = used;
        used += p.len;
        o->pieces[kept++] = p;
    }
    o->pieces_len = kept;
    o->held.len = used;
}

/* Head and tail alone may be very many pieces. Dropping is tried only when the array is full, and
 * where it frees less than half the array grows: else each piece would cost a pass over all. */
static void more_pieces(struct output *o) {
    if (o->pieces_cap >= PIECES_HELD)
        drop_middle(o);
    if (o->pieces_cap && o->pieces_len <= o->pieces_cap / 2)
        return;
    o->pieces_cap = o->pieces_cap ? o->pieces_cap * 2 : 8;
    o->pieces = xrealloc(o->pieces, o->pieces_cap * sizeof(*o->pieces));
}

static struct piece *piece_for(struct output *o, int stream, int64_t at) {
    struct piece *last = o->pieces_len ? &o->pieces[o->pieces_len - 1] : NULL;
    bool joins = last && last->stream == stream && at - last->at <= SAME_TIME_MS &&
                 last->len < PIECE_MAX && last->offset + (int64_t)last->len == o->total &&
                 o->total != OUTPUT_HEAD;
    if (joins)
        return last;
    if (o->pieces_len == o->pieces_cap)
        more_pieces(o);
    struct piece *p = &o->pieces[o->pieces_len++];
    *p = (struct piece){.offset = o->total, .at = at, .start = o->held.len, .stream = stream};
    return p;
}

void output_put(struct output *o, int stream, int64_t at, const char *data, size_t len) {
    if (stream == 2)
        put_error_tail(o, data, len);
    while (len > 0) {
        struct piece *p = piece_for(o, stream, at);
        size_t n = min_size(len, PIECE_MAX - p->len);
        if (o->total < OUTPUT_HEAD)
            n = min_size(n, (size_t)(OUTPUT_HEAD - o->total));
        buf_add(&o->held, data, n);
        p->len += n;
        o->total += (int64_t)n;
        data += n;
        len -= n;
        if (o->held.len > OUTPUT_HELD - PIECE_MAX)
            drop_middle(o);
    }
}

size_t output_unstored(const struct output *o, struct chunk **chunks) {
    *chunks = xcalloc(o->pieces_len, sizeof(**chunks));
    for (size_t i = 0; i < o->pieces_len; i++) {
        const struct piece *p = &o->pieces[i];
        (*chunks)[i] = (struct chunk){.offset = p->offset,
                                      .stream = p->stream,
                                      .at = p->at,
                                      .data = {o->held.data + p->start, p->len}};
    }
    return o->pieces_len;
}

void output_stored(struct output *o) {
    o->pieces_len = 0;
    o->held.len = 0;
    if (o->held.cap > 65536)
        buf_free(&o->held);
}

void output_free(struct output *o) {
    buf_free(&o->held);
    free(o->pieces);
    *o = (struct output){0};
}
