/* What a worker says about its doings: one line an event. */
#ifndef QUEUECTL_REPORT_H
#define QUEUECTL_REPORT_H

#include "job.h"

enum report_format {
    REPORT_NONE,
    REPORT_TEXT, /* sentences, for a terminal */
    REPORT_KV,   /* key=value, for a log */
    REPORT_JSON, /* for `run`, which draws the progress */
    REPORT_FORMATS
};
extern const char *const report_formats[REPORT_FORMATS];

struct report {
    enum report_format format;
    int fd; /* REPORT_JSON: never blocks, unwritten lines wait in `pending` */
    struct buf pending;
    bool broken; /* nobody reads any more */
};

struct report_event {
    const char *what; /* started picked progress completed failed dead cancelled skipped … */
    const struct job *job;
    const struct outcome *outcome;
    const struct decision *decision;
    const char *text; /* free words */
    double fraction;  /* progress, 0 to 1; below 0: unknown */
    int64_t left;     /* unfinished jobs of the run; -1: not a run */
};

void report_emit(struct report *r, const struct report_event *e);
/* Write what can be written now; false when nobody reads the events any more. */
bool report_flush(struct report *r);

#endif
