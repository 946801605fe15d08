/* Jobs that a job adds to its run. Each comes in a message of its channel (job_fields.h). */
#include <stdlib.h>
#include <string.h>

#include "job_fields.h"
#include "worker_impl.h"

enum { ADDED_MAX = 1000, ADDED_BYTES = 4 << 20 };

/* Said once, and the job fails with it. */
static bool refuse(struct slot *s, const char *why) {
    if (!s->refused)
        s->refused = xstrdup(why);
    return true;
}

void added_read(struct slot *s, const char *p, size_t len) {
    struct added *a = &s->added;
    struct spawn_limits limits;
    struct job_spec j;
    if (s->refused)
        return;
    if (a->n == ADDED_MAX || a->bytes + len > ADDED_BYTES) {
        refuse(s, "at most 1000 jobs of 4 MiB together can be added by a job");
        return;
    }
    /* It would be stored. */
    if (secrets_are_in(s, p, len)) {
        refuse(s, "the value of a secret stands in the new job: give it the secret itself");
        return;
    }
    char *text = xmalloc(len + 1);
    if (job_fields_read(p, len, text, &j, &s->refused) < 0 ||
        (spawn_limits_parse(j.limits, &limits) < 0 && refuse(s, "bad value of field limits"))) {
        free(text);
        return;
    }
    if (j.kind == JOB_LUA || j.when)
        j.source = s->job.source; /* its function stands there, and perhaps not in its run's */
    a->specs = xrealloc(a->specs, (a->n + 1) * sizeof(*a->specs));
    a->texts = xrealloc(a->texts, (a->n + 1) * sizeof(*a->texts));
    a->specs[a->n] = j;
    a->texts[a->n++] = text;
    a->bytes += len;
}

int added_store(struct slot *s, struct err *err) {
    struct added *a = &s->added;
    if (!a->n)
        return 0;
    struct store *store = s->worker->store;
    struct enqueued *out = xcalloc(a->n, sizeof(*out));
    int rc = store->ops->enqueue(store, s->job.run, a->specs, a->n, out, err);
    free(out);
    if (rc < 0 && (err->code == ERR_STATE || err->code == ERR_USAGE)) {
        refuse(s, err->text);
        err->code = ERR_BUSY; /* the tick is done again, and this job fails in it */
    }
    return rc;
}

void added_free(struct slot *s) {
    struct added *a = &s->added;
    for (size_t i = 0; i < a->n; i++)
        free(a->texts[i]);
    free(a->specs);
    free(a->texts);
    *a = (struct added){0};
}
