#include "words.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    size_t n = 0;

    for (int i = 1; i < argc; i++) n += count_words(argv[i]);
    printf("%zu\n", n);
    return 0;
}
