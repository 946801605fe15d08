#include "pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pack_next(const char *list, size_t len, size_t *pos) {
    if (*pos >= len)
        return NULL;
    const char *entry = list + *pos;
    const char *end = memchr(entry, '\0', len - *pos);
    if (!end || end == entry)
        return NULL;
    *pos = (size_t)(end - list) + 1;
    return entry;
}

void pack_add(struct buf *list, enum pack_kind kind, const char *text) {
    char k = (char)kind;
    buf_add(list, &k, 1);
    buf_add(list, text, strlen(text) + 1);
}

/* The entry of KEY in list->data[*from, *to). */
static bool find_value(const struct buf *list, const char *key, size_t *from, size_t *to) {
    size_t len = strlen(key);
    *from = *to = 0;
    for (const char *e; (e = pack_next(list->data, list->len, to)); *from = *to)
        if (strncmp(e + 1, key, len) == 0 && e[1 + len] == '=')
            return true;
    return false;
}

const char *pack_value(const struct buf *list, const char *key) {
    size_t from, to;
    return find_value(list, key, &from, &to) ? list->data + from + 1 + strlen(key) + 1 : NULL;
}

void pack_add_value(struct buf *list, const char *key, const char *value) {
    char *entry = xasprintf("%s=%s", key, value);
    pack_add(list, PACK_TEXT, entry);
    free(entry);
}

void pack_add_number(struct buf *list, const char *key, int64_t value) {
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, value);
    pack_add_value(list, key, text);
}

bool pack_drop(struct buf *list, const char *key) {
    size_t from, to;
    if (!find_value(list, key, &from, &to))
        return false;
    memmove(list->data + from, list->data + to, list->len - to);
    list->len -= to - from;
    return true;
}

int pack_later(const char *text, long long *parent, const char **key, size_t *key_len,
               const char **name) {
    char *end = NULL;
    *parent = strtoll(text, &end, 10);
    if (end == text || *end != ':')
        return -1;
    *key = end + 1;
    *key_len = strcspn(*key, "=");
    *name = (*key)[*key_len] == '=' ? *key + *key_len + 1 : NULL;
    return 0;
}
