/* The command line, which is written in Lua: run it, and learn what it asks for. */
#ifndef QUEUECTL_SCRIPT_CLI_H
#define QUEUECTL_SCRIPT_CLI_H

#include "util.h"

struct cli_result {
    int exit_code;
    bool work; /* this process is to become the worker described below */
    char *store, *name, *format;
    int slots;
    int64_t run;
    bool until_empty;
};

/* argv as main got it. 0, or -1 with err (an error of the program's own Lua). */
int script_cli(int argc, char **argv, struct cli_result *out, struct err *err);
void cli_result_free(struct cli_result *r);

#endif
