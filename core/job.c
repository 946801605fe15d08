#include "job.h"

#include <stdlib.h>
#include <string.h>

const char *const job_state_names[JOB_STATES] = {
    [JOB_WAITING] = "waiting",     [JOB_PENDING] = "pending", [JOB_PROCESSING] = "processing",
    [JOB_COMPLETED] = "completed", [JOB_FAILED] = "failed",   [JOB_DEAD] = "dead",
    [JOB_CANCELLED] = "cancelled", [JOB_SKIPPED] = "skipped", [JOB_HELD] = "held",
};
const char *const job_kind_names[JOB_KINDS] = {
    [JOB_SHELL] = "shell",
    [JOB_ARGV] = "argv",
    [JOB_LUA] = "lua",
};
const char *const job_on_names[JOB_ONS] = {
    [ON_SUCCESS] = "success",
    [ON_FAILURE] = "failure",
    [ON_DONE] = "done",
};
const char *const job_cause_names[CAUSES] = {
    [CAUSE_NONE] = "none",
    [CAUSE_EXIT] = "exit",
    [CAUSE_SIGNAL] = "signal",
    [CAUSE_TIMEOUT] = "timeout",
    [CAUSE_SPAWN] = "spawn",
    [CAUSE_LUA] = "lua",
    [CAUSE_WORKER_LOST] = "worker_lost",
    [CAUSE_CANCELLED] = "cancelled",
    [CAUSE_INTERRUPTED] = "interrupted",
    [CAUSE_OUTPUTS] = "outputs",
    [CAUSE_DEPENDENCY] = "dependency",
    [CAUSE_NOT_NEEDED] = "not_needed",
    [CAUSE_SNOOZE] = "snooze",
    [CAUSE_WHEN] = "when",
    [CAUSE_FAIL_FAST] = "fail_fast",
    [CAUSE_EXPIRED] = "expired",
};

int name_find(const char *const *names, int n, const char *name) {
    for (int i = 0; name && i < n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

#define TO(state) (1U << (state))

/* Which state may follow which. Every store checks its transitions against this table. */
static const unsigned allowed[JOB_STATES] = {
    [JOB_WAITING] = TO(JOB_PENDING) | TO(JOB_SKIPPED) | TO(JOB_CANCELLED),
    [JOB_PENDING] = TO(JOB_PROCESSING) | TO(JOB_CANCELLED) | TO(JOB_HELD) | TO(JOB_SKIPPED),
    [JOB_PROCESSING] = TO(JOB_COMPLETED) | TO(JOB_FAILED) | TO(JOB_DEAD) | TO(JOB_CANCELLED) |
                       TO(JOB_PENDING) | TO(JOB_SKIPPED),
    [JOB_FAILED] = TO(JOB_PROCESSING) | TO(JOB_PENDING) | TO(JOB_CANCELLED) | TO(JOB_DEAD),
    [JOB_DEAD] = TO(JOB_PENDING),
    [JOB_CANCELLED] = TO(JOB_PENDING) | TO(JOB_WAITING),
    [JOB_COMPLETED] = TO(JOB_PENDING),
    [JOB_SKIPPED] = TO(JOB_PENDING) | TO(JOB_WAITING),
    [JOB_HELD] = TO(JOB_PENDING) | TO(JOB_CANCELLED) | TO(JOB_SKIPPED),
};

bool job_may_change(enum job_state from, enum job_state to) {
    return from < JOB_STATES && to < JOB_STATES && (allowed[from] & TO(to));
}

bool job_is_final(enum job_state state) {
    return TO(state) & (TO(JOB_COMPLETED) | TO(JOB_DEAD) | TO(JOB_CANCELLED) | TO(JOB_SKIPPED));
}

bool job_skip_is_neutral(enum job_cause cause) {
    return cause == CAUSE_NOT_NEEDED || cause == CAUSE_WHEN;
}

void job_free(struct job *j) {
    char *strings[] = {j->id,     j->name,       j->queue,       j->group, j->error,
                       j->cwd,    j->backoff,    j->description, j->tags,  j->meta,
                       j->source, j->stdin_path, j->limits};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        free(strings[i]);
    buf_free(&j->command);
    buf_free(&j->env);
    buf_free(&j->ok_codes);
    buf_free(&j->outputs);
    buf_free(&j->stdin_text);
    buf_free(&j->artifacts);
    *j = (struct job){0};
}

void attempt_free(struct attempt *a) {
    free(a->error);
    free(a->worker_name);
    free(a->report_note);
    buf_free(&a->report);
    *a = (struct attempt){0};
}
