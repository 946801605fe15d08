/* Counting words. */
#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>

/* The number of words in text: what stands between blanks. */
size_t count_words(const char *text);

#endif
