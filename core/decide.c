#include "decide.h"

#include <string.h>

#include "backoff.h"

bool outcome_is_success(const struct job *j, const struct outcome *o) {
    if (o->cause != CAUSE_EXIT)
        return false;
    if (!j->ok_codes.len)
        return o->exit_code == 0;
    return memchr(j->ok_codes.data, o->exit_code, j->ok_codes.len) != NULL;
}

bool job_is_too_old(const struct job *j, int64_t at) {
    int64_t since = j->retried_at > j->created_at ? j->retried_at : j->created_at;
    return j->max_age_ms > 0 && at - since > j->max_age_ms;
}

static struct decision retry_or_die(const struct job *j, double random) {
    if (j->tries > j->retries)
        return (struct decision){.state = JOB_DEAD};
    struct backoff b;
    if (backoff_parse(j->backoff, &b, NULL) < 0)
        b = backoff_default;
    int64_t last_ms = j->tries > 1 ? j->delay_ms : 0; /* before the first try it is a start delay */
    return (struct decision){.state = JOB_FAILED,
                             .delay_ms = backoff_delay(&b, j->tries, last_ms, random)};
}

static struct decision decide_by_cause(const struct job *j, const struct outcome *o,
                                       int64_t wait_ms, double random) {
    if (outcome_is_success(j, o))
        return (struct decision){.state = JOB_COMPLETED};
    switch (o->cause) {
    case CAUSE_CANCELLED:
        return (struct decision){.state = JOB_CANCELLED};
    case CAUSE_NONE:
    case CAUSE_INTERRUPTED:
    case CAUSE_SNOOZE:
        return (struct decision){.state = JOB_PENDING, .delay_ms = wait_ms, .keep_try = true};
    case CAUSE_WHEN:
        return (struct decision){.state = JOB_SKIPPED, .keep_try = true};
    case CAUSE_EXPIRED:
        return (struct decision){.state = JOB_DEAD, .keep_try = true};
    case CAUSE_WORKER_LOST:
        return (struct decision){.state = j->deaths + 1 >= DEATHS_MAX ? JOB_DEAD : JOB_PENDING,
                                 .keep_try = true};
    default:
        return retry_or_die(j, random);
    }
}

struct decision decide(const struct job *j, const struct outcome *o, int64_t wait_ms, int64_t now,
                       double random) {
    struct decision d = decide_by_cause(j, o, wait_ms, random);
    /* What goes back through no fault of its own is judged when its turn comes. */
    bool waits = d.state == JOB_FAILED || (d.state == JOB_PENDING && o->cause == CAUSE_SNOOZE);
    if (waits && job_is_too_old(j, now + d.delay_ms))
        return (struct decision){.state = JOB_DEAD, .keep_try = d.keep_try, .too_old = true};
    return d;
}
