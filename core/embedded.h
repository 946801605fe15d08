/* The Lua files inside the binary, as bytecode; scripts/embed.lua writes the table. */
#ifndef EMBEDDED_H
#define EMBEDDED_H

#include <stddef.h>

struct embedded_module {
    const char *name; /* as in require(): "queuectl.cmd.run", "argparse" */
    const unsigned char *data;
    size_t size;
};

/* Sorted by name (strcmp), so that it can be searched with bsearch(). */
extern const struct embedded_module embedded_modules[];
extern const size_t embedded_module_count;

#endif
