#include "pack.h"

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
