/* The automaton of Aho and Corasick (Efficient string matching, CACM 18(6), 1975): a tree of all
 * values, and from each node a link to the longest other place in the tree that the bytes read so
 * far may be in. Nodes hold their children as a list, for most have one. */
#include "mask.h"

#include <stdlib.h>
#include <string.h>

struct node {
    uint32_t child, sibling; /* 0: none */
    uint32_t fail;
    uint32_t depth;
    uint32_t hold;      /* how many of the last bytes may still become a value */
    uint32_t value_len; /* of the longest value that ends here, 0: none */
    unsigned char byte;
};

struct mask {
    struct node *nodes; /* the first is the root */
    uint32_t len, cap;
    uint32_t first[256]; /* children of the root */
};

struct mask *mask_new(void) {
    struct mask *m = xcalloc(1, sizeof(*m));
    m->cap = 64;
    m->nodes = xcalloc(m->cap, sizeof(*m->nodes));
    m->len = 1;
    return m;
}

static uint32_t child_of(const struct mask *m, uint32_t node, unsigned char byte) {
    if (!node)
        return m->first[byte];
    uint32_t c = m->nodes[node].child;
    while (c && m->nodes[c].byte != byte)
        c = m->nodes[c].sibling;
    return c;
}

static uint32_t add_child(struct mask *m, uint32_t node, unsigned char byte) {
    if (m->len == m->cap) {
        struct node *more = xcalloc((size_t)m->cap * 2, sizeof(*more));
        memcpy(more, m->nodes, m->len * sizeof(*more));
        explicit_bzero(m->nodes, m->len * sizeof(*more));
        free(m->nodes);
        m->nodes = more;
        m->cap *= 2;
    }
    uint32_t c = m->len++;
    m->nodes[c] = (struct node){
        .sibling = m->nodes[node].child, .depth = m->nodes[node].depth + 1, .byte = byte};
    m->nodes[node].child = c;
    if (!node)
        m->first[byte] = c;
    return c;
}

static void add_text(struct mask *m, const char *text, size_t len) {
    uint32_t node = 0;
    for (size_t i = 0; i < len; i++) {
        uint32_t c = child_of(m, node, (unsigned char)text[i]);
        node = c ? c : add_child(m, node, (unsigned char)text[i]);
    }
    m->nodes[node].value_len = (uint32_t)len;
}

void mask_add(struct mask *m, const char *value, size_t len) {
    if (len >= MASK_VALUE_MIN)
        add_text(m, value, len);
    if (!memchr(value, '\n', len))
        return;
    for (const char *line = value, *end = value + len; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((newline ? newline : end) - line);
        size_t shown = n && line[n - 1] == '\r' ? n - 1 : n;
        if (shown >= MASK_LINE_MIN)
            add_text(m, line, shown);
        line += n + 1;
    }
}

static uint32_t step(const struct mask *m, uint32_t state, unsigned char byte) {
    uint32_t next;
    while (!(next = child_of(m, state, byte)) && state)
        state = m->nodes[state].fail;
    return next;
}

/* Links from the root outwards: those of shorter texts are there when a longer one needs them. */
bool mask_seal(struct mask *m) {
    uint32_t *queue = xcalloc(m->len, sizeof(*queue));
    size_t queued = 1;
    for (size_t i = 0; i < queued; i++) {
        for (uint32_t c = m->nodes[queue[i]].child; c; c = m->nodes[c].sibling) {
            struct node *n = &m->nodes[c];
            n->fail = queue[i] ? step(m, m->nodes[queue[i]].fail, n->byte) : 0;
            if (!n->value_len)
                n->value_len = m->nodes[n->fail].value_len;
            n->hold = n->child ? n->depth : m->nodes[n->fail].hold;
            queue[queued++] = c;
        }
    }
    free(queue);
    return m->len > 1;
}

void mask_free(struct mask *m) {
    if (!m)
        return;
    explicit_bzero(m->nodes, m->len * sizeof(*m->nodes));
    free(m->nodes);
    free(m);
}

/* ---- streams ---- */

/* Ends never come in a smaller order, so only the last ones can meet a new stretch. */
static void add_stretch(struct mask_stream *s, size_t from, size_t to) {
    while (s->stretches_len && s->stretches[s->stretches_len - 1].to >= from) {
        size_t before = s->stretches[--s->stretches_len].from;
        from = before < from ? before : from;
    }
    if (s->stretches_len == s->stretches_cap) {
        s->stretches_cap = s->stretches_cap ? s->stretches_cap * 2 : 8;
        s->stretches = xrealloc(s->stretches, s->stretches_cap * sizeof(*s->stretches));
    }
    s->stretches[s->stretches_len++] = (struct mask_stretch){from, to};
}

/* Give the first n bytes of what is held. */
static void release(struct mask_stream *s, size_t n, struct buf *out) {
    size_t at = 0, gone = 0;
    if (!n)
        return;
    for (; gone < s->stretches_len && s->stretches[gone].from < n; gone++) {
        const struct mask_stretch *st = &s->stretches[gone];
        buf_add(out, s->held.data + at, st->from - at);
        if (!s->inside || st->from > at)
            buf_str(out, MASK_SIGN);
        s->inside = true;
        at = st->to < n ? st->to : n;
        if (st->to > n)
            break;
    }
    if (at < n) {
        buf_add(out, s->held.data + at, n - at);
        s->inside = false;
    }
    s->stretches_len -= gone;
    if (s->stretches_len)
        memmove(s->stretches, s->stretches + gone, s->stretches_len * sizeof(*s->stretches));
    for (size_t i = 0; i < s->stretches_len; i++) {
        struct mask_stretch *st = &s->stretches[i];
        *st = (struct mask_stretch){st->from < n ? 0 : st->from - n, st->to - n};
    }
    buf_drop(&s->held, n);
}

void mask_put(const struct mask *m, struct mask_stream *s, const char *p, size_t len,
              struct buf *out) {
    size_t before = s->held.len;
    buf_add(&s->held, p, len);
    for (size_t i = 0; i < len; i++) {
        s->state = step(m, s->state, (unsigned char)p[i]);
        size_t value_len = m->nodes[s->state].value_len;
        if (value_len)
            add_stretch(s, before + i + 1 - value_len, before + i + 1);
    }
    release(s, s->held.len - m->nodes[s->state].hold, out);
}

void mask_end(struct mask_stream *s, struct buf *out) {
    release(s, s->held.len, out);
    s->state = 0;
    s->inside = false;
}

void mask_stream_free(struct mask_stream *s) {
    if (s->held.data)
        explicit_bzero(s->held.data, s->held.cap);
    buf_free(&s->held);
    free(s->stretches);
    *s = (struct mask_stream){0};
}

char *mask_text(const struct mask *m, const char *text, bool cut) {
    struct mask_stream s = {0};
    struct buf out = {0};
    buf_add(&out, "", 0);
    mask_put(m, &s, text, strlen(text), &out);
    if (cut && s.held.len >= MASK_VALUE_MIN)
        add_stretch(&s, 0, s.held.len);
    mask_end(&s, &out);
    mask_stream_free(&s);
    return out.data;
}
