/* A binary heap of deadlines. An item embeds struct heap_item; the heap owns nothing but its array
 * and knows nothing of what the items are. Smallest `at` first; equal ones in no promised order. */
#ifndef QUEUECTL_HEAP_H
#define QUEUECTL_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_item {
    int64_t at;
    size_t pos; /* 1-based place in the heap; 0 = not in it */
};

struct heap {
    struct heap_item **items;
    size_t len, cap;
};

/* Insert, or move to a new time if it is in already. */
void heap_set(struct heap *h, struct heap_item *item, int64_t at);
/* Take out; nothing happens if it is not in. */
void heap_remove(struct heap *h, struct heap_item *item);
/* The earliest, or NULL. Stays in. */
struct heap_item *heap_top(const struct heap *h);
void heap_free(struct heap *h);

#endif
