#include "heap.h"

#include <stdlib.h>

#include "util.h"

static void put(struct heap *h, size_t pos, struct heap_item *item) {
    h->items[pos - 1] = item;
    item->pos = pos;
}

static void sift_up(struct heap *h, struct heap_item *item) {
    size_t pos = item->pos;
    while (pos > 1 && h->items[pos / 2 - 1]->at > item->at) {
        put(h, pos, h->items[pos / 2 - 1]);
        pos /= 2;
    }
    put(h, pos, item);
}

static void sift_down(struct heap *h, struct heap_item *item) {
    size_t pos = item->pos;
    for (;;) {
        size_t child = pos * 2;
        if (child > h->len)
            break;
        if (child < h->len && h->items[child]->at < h->items[child - 1]->at)
            child++;
        if (h->items[child - 1]->at >= item->at)
            break;
        put(h, pos, h->items[child - 1]);
        pos = child;
    }
    put(h, pos, item);
}

void heap_set(struct heap *h, struct heap_item *item, int64_t at) {
    item->at = at;
    if (!item->pos) {
        if (h->len == h->cap) {
            h->cap = h->cap ? h->cap * 2 : 16;
            h->items = xrealloc(h->items, h->cap * sizeof(*h->items));
        }
        put(h, ++h->len, item);
    }
    sift_up(h, item);
    sift_down(h, item);
}

void heap_remove(struct heap *h, struct heap_item *item) {
    size_t pos = item->pos;
    if (!pos)
        return;
    struct heap_item *last = h->items[--h->len];
    item->pos = 0;
    if (last == item)
        return;
    put(h, pos, last);
    sift_up(h, last);
    sift_down(h, last);
}

struct heap_item *heap_top(const struct heap *h) {
    return h->len ? h->items[0] : NULL;
}

void heap_free(struct heap *h) {
    free(h->items);
    *h = (struct heap){0};
}
