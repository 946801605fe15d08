/* The door: what kind of process this is, then the command line in Lua, then perhaps the worker. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "guardian.h"
#include "script_cli.h"
#include "script_job.h"
#include "worker.h"

static int complain(const struct err *err) {
    char *text = text_escape(err->text, strlen(err->text), sizeof(err->text));
    fprintf(stderr, "queuectl: %s\n", text);
    free(text);
    return err->code == ERR_BUSY ? ERR_STORE : err->code ? (int)err->code : 1;
}

/* 0, 1 and 2 must be something: a store opened as descriptor 1 would be printed into. */
static void fill_standard_fds(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static int work(const struct cli_result *cli, struct err *err) {
    int format = name_find(report_formats, REPORT_FORMATS, cli->format);
    struct worker_options o = {.store = cli->store,
                               .name = cli->name,
                               .slots = cli->slots,
                               .lane = cli->run,
                               .until_empty = cli->until_empty,
                               .format = format < 0 ? REPORT_NONE : (enum report_format)format,
                               .report_fd = STDERR_FILENO};
    if (o.format == REPORT_JSON)
        o.report_fd = STDOUT_FILENO;
    return worker_main(&o, err);
}

int main(int argc, char **argv) {
    struct err err = {0};
    struct cli_result cli = {0};
    /* Executed as /proc/self/exe, top and ps would show it as "exe". */
    prctl(PR_SET_NAME, argc ? basename(argv[0]) : "queuectl");
    if (argc == 4 && strcmp(argv[1], "--guardian") == 0)
        return guardian_main((int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10));
    if (argc == 2 && strcmp(argv[1], "--lua-job") == 0)
        return script_job_main();
    if (argc == 2 && strcmp(argv[1], "--lua-warm") == 0)
        return script_warm_main();
    fill_standard_fds();
    int rc = script_cli(argc, argv, &cli, &err);
    if (rc == 0 && cli.work)
        rc = work(&cli, &err);
    cli_result_free(&cli);
    return rc < 0 ? complain(&err) : cli.exit_code;
}
