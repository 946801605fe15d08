#include "words.h"

#include <ctype.h>

size_t count_words(const char *text)
{
    size_t n = 0;
    int inside = 0;

    for (; *text; text++) {
        int blank = isspace((unsigned char)*text);
        if (!blank && !inside) n++;
        inside = !blank;
    }
    return n;
}
