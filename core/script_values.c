#include "script_values.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"

/* ---- fields in ---- */

static bool field(lua_State *L, int index, const char *name, int type) {
    lua_getfield(L, index, name);
    int got = lua_type(L, -1);
    if (got != LUA_TNIL && got != type)
        luaL_error(L, "field '%s': a %s where a %s belongs", name, lua_typename(L, got),
                   lua_typename(L, type));
    return got != LUA_TNIL;
}

struct bytes script_bytes(lua_State *L, int index, const char *name) {
    struct bytes b = {0};
    if (field(L, index, name, LUA_TSTRING))
        b.data = lua_tolstring(L, -1, &b.len);
    lua_pop(L, 1); // still held by the table
    return b;
}

const char *script_string(lua_State *L, int index, const char *name) {
    return script_bytes(L, index, name).data;
}

double script_number(lua_State *L, int index, const char *name, double none) {
    double v = field(L, index, name, LUA_TNUMBER) ? lua_tonumber(L, -1) : none;
    lua_pop(L, 1);
    return v;
}

bool script_boolean(lua_State *L, int index, const char *name) {
    bool v = field(L, index, name, LUA_TBOOLEAN) && lua_toboolean(L, -1);
    lua_pop(L, 1);
    return v;
}

/* ---- specs ---- */

static enum job_on need_on(lua_State *L, int index) {
    const char *word = script_string(L, index, "on");
    int on = word ? name_find(job_on_names, JOB_ONS, word) : ON_SUCCESS;
    if (on < 0)
        luaL_error(L, "needs: on = '%s'", word);
    return (enum job_on)on;
}

/* The `needs` of the spec at the top of the stack; the array's owner is put below it. */
static void read_needs(lua_State *L, struct job_spec *spec, size_t n_specs) {
    if (!field(L, -1, "needs", LUA_TTABLE)) { // spec needs
        lua_pop(L, 1);
        return;
    }
    size_t n = lua_objlen(L, -1);
    struct job_need *needs = lua_newuserdata(L, (n + 1) * sizeof(*needs)); // spec needs owner
    lua_insert(L, -3);                                                     // owner spec needs
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1); // owner spec needs need
        luaL_checktype(L, -1, LUA_TTABLE);
        double parent = script_number(L, -1, "job", 0);
        if (!(parent >= 1 && parent <= (double)n_specs))
            luaL_error(L, "needs: job number %f", parent);
        needs[i] = (struct job_need){.parent = (int64_t)parent - 1, .on = need_on(L, -1)};
        lua_pop(L, 1); // owner spec needs
    }
    lua_pop(L, 1); // owner spec
    spec->needs = needs;
    spec->needs_len = n;
}

/* The spec at the top of the stack, but for its needs. */
static void read_settings(lua_State *L, struct job_spec *j) {
    const char *kind = script_string(L, -1, "kind");
    int k = kind ? name_find(job_kind_names, JOB_KINDS, kind) : JOB_SHELL;
    if (k < 0)
        luaL_error(L, "kind '%s'", kind);
    *j = (struct job_spec){
        .id = script_string(L, -1, "id"),
        .name = script_string(L, -1, "name"),
        .queue = script_string(L, -1, "queue"),
        .group = script_string(L, -1, "group"),
        .kind = (enum job_kind)k,
        .command = script_bytes(L, -1, "command"),
        .env = script_bytes(L, -1, "env"),
        .cwd = script_string(L, -1, "cwd"),
        .stdin_text = script_bytes(L, -1, "stdin"),
        .stdin_path = script_string(L, -1, "stdin_file"),
        .priority = (int32_t)script_number(L, -1, "priority", 0),
        .retries = (int32_t)script_number(L, -1, "retries", 3),
        .timeout_ms = (int64_t)script_number(L, -1, "timeout_ms", 3600000),
        .kill_after_ms = (int64_t)script_number(L, -1, "kill_after_ms", 10000),
        .delay_ms = (int64_t)script_number(L, -1, "delay_ms", 0),
        .backoff = script_string(L, -1, "backoff"),
        .ok_codes = script_bytes(L, -1, "ok_codes"),
        .allow_failure = script_boolean(L, -1, "allow_failure"),
        .outputs = script_bytes(L, -1, "outputs"),
        .description = script_string(L, -1, "description"),
        .tags = script_string(L, -1, "tags"),
        .meta = script_string(L, -1, "meta"),
        .artifacts = script_bytes(L, -1, "artifacts"),
        .when = script_boolean(L, -1, "when"),
        .fail_fast = script_boolean(L, -1, "fail_fast"),
        .start_at = (int64_t)script_number(L, -1, "start_at", 0),
        .max_age_ms = (int64_t)script_number(L, -1, "max_age_ms", 0),
        .limits = script_string(L, -1, "limits"),
        .source = script_string(L, -1, "source"),
        .done_as = (int64_t)script_number(L, -1, "done_as", 0),
    };
    if (!j->queue)
        j->queue = "default";
}

struct job_spec script_spec(lua_State *L, int index) {
    struct job_spec spec;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushvalue(L, index); // spec
    read_settings(L, &spec);
    lua_pop(L, 1); // its strings are those of the caller's table
    return spec;
}

/* All needs arrays of a call stand in one table, so that the stack does not grow with the specs. */
struct job_spec *script_specs(lua_State *L, int index, size_t *n) {
    luaL_checktype(L, index, LUA_TTABLE);
    *n = lua_objlen(L, index);
    struct job_spec *specs = lua_newuserdata(L, (*n + 1) * sizeof(*specs)); // specs
    lua_newtable(L);                                                        // specs owners
    int owners = lua_gettop(L);
    for (size_t i = 0; i < *n; i++) {
        lua_rawgeti(L, index, (int)i + 1); // specs owners spec
        luaL_checktype(L, -1, LUA_TTABLE);
        read_settings(L, &specs[i]);
        read_needs(L, &specs[i], *n); // specs owners [owner] spec
        lua_pop(L, 1);
        if (lua_gettop(L) > owners)
            lua_rawseti(L, owners, (int)i + 1); // specs owners
    }
    return specs;
}

/* ---- owners ---- */

struct jobs_owner {
    size_t n;
    struct job jobs[];
};

static int l_free_jobs(lua_State *L) {
    struct jobs_owner *o = lua_touserdata(L, 1);
    for (size_t i = 0; i < o->n; i++)
        job_free(&o->jobs[i]);
    return 0;
}

struct runs_owner {
    size_t n;
    struct run runs[];
};

static int l_free_runs(lua_State *L) {
    struct runs_owner *o = lua_touserdata(L, 1);
    for (size_t i = 0; i < o->n; i++)
        run_free(&o->runs[i]);
    return 0;
}

static int l_free_anchor(lua_State *L) {
    free(*(char **)lua_touserdata(L, 1));
    return 0;
}

struct list_owner {
    void *list;
    size_t n;
};

static int l_free_attempts(lua_State *L) {
    struct list_owner *o = lua_touserdata(L, 1);
    struct attempt *list = o->list;
    for (size_t i = 0; i < o->n; i++)
        attempt_free(&list[i]);
    free(list);
    return 0;
}

static int l_free_workers(lua_State *L) {
    struct list_owner *o = lua_touserdata(L, 1);
    for (size_t i = 0; i < o->n; i++)
        worker_info_free((struct worker_info *)o->list + i);
    free(o->list);
    return 0;
}

static void *new_owner(lua_State *L, size_t size, lua_CFunction gc) {
    void *p = memset(lua_newuserdata(L, size), 0, size); // owner
    lua_createtable(L, 0, 1);                            // owner meta
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2); // owner
    return p;
}

struct job *script_new_jobs(lua_State *L, size_t n) {
    struct jobs_owner *o =
        new_owner(L, sizeof(struct jobs_owner) + n * sizeof(struct job), l_free_jobs);
    o->n = n;
    return o->jobs;
}

struct run *script_new_runs(lua_State *L, size_t n) {
    struct runs_owner *o =
        new_owner(L, sizeof(struct runs_owner) + n * sizeof(struct run), l_free_runs);
    o->n = n;
    return o->runs;
}

char **script_anchor(lua_State *L) {
    return new_owner(L, sizeof(char *), l_free_anchor);
}

void script_own_attempts(lua_State *L, struct attempt *list, size_t n) {
    *(struct list_owner *)new_owner(L, sizeof(struct list_owner), l_free_attempts) =
        (struct list_owner){list, n};
}

void script_own_workers(lua_State *L, struct worker_info *list, size_t n) {
    *(struct list_owner *)new_owner(L, sizeof(struct list_owner), l_free_workers) =
        (struct list_owner){list, n};
}

/* ---- tables out ---- */

static void set_string(lua_State *L, const char *name, const char *v) {
    if (!v)
        return;
    lua_pushstring(L, v);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void set_known(lua_State *L, const char *name, int v) { /* -1: not known */
    if (v >= 0)
        set_number(L, name, v);
}

static void set_time(lua_State *L, const char *name, int64_t ms) {
    if (ms)
        set_number(L, name, (double)ms / 1000);
}

static void set_true(lua_State *L, const char *name, bool v) {
    lua_pushboolean(L, v);
    lua_setfield(L, -2, name);
}

static void push_entry(lua_State *L, const char *e) {
    const char *place = e[0] == PACK_SECRET ? strchr(e, '=') : NULL;
    if (!place) {
        lua_pushstring(L, e[0] == PACK_TEXT ? e + 1 : e);
        return;
    }
    lua_pushlstring(L, e + 1, (size_t)(place - e - 1)); // name
    lua_pushfstring(L, "=<secret %s>", place + 1);      // name place
    lua_concat(L, 2);
}

/* A packed list as { text, … }; what is only known later stands as "@PARENT:KEY", a secret as
 * "NAME=<secret PLACE>". */
static void set_list(lua_State *L, const char *name, const struct buf *list) {
    if (!list->len)
        return;
    lua_newtable(L);
    size_t pos = 0;
    int i = 0;
    for (const char *e; (e = pack_next(list->data, list->len, &pos));) {
        push_entry(L, e);
        lua_rawseti(L, -2, ++i);
    }
    lua_setfield(L, -2, name);
}

static void push_times(lua_State *L, const struct job *j) {
    set_time(L, "run_at", j->run_at);
    set_time(L, "created_at", j->created_at);
    set_time(L, "updated_at", j->updated_at);
    set_time(L, "started_at", j->started_at);
    set_time(L, "finished_at", j->finished_at);
    set_time(L, "start_at", j->start_at);
    set_time(L, "max_age", j->max_age_ms);
    set_number(L, "timeout", (double)j->timeout_ms / 1000);
    set_number(L, "kill_after", (double)j->kill_after_ms / 1000);
}

static void push_numbers(lua_State *L, const struct job *j) {
    set_number(L, "seq", (double)j->seq);
    set_number(L, "run", (double)j->run);
    set_number(L, "priority", j->priority);
    set_number(L, "retries", j->retries);
    set_number(L, "attempts", j->tries);
    set_number(L, "token", (double)j->starts);
    set_number(L, "deaths", j->deaths);
    set_number(L, "waits", j->waits);
    set_number(L, "worker", (double)j->worker);
    set_known(L, "exit_code", j->exit_code);
    set_known(L, "signal", j->signal);
    set_true(L, "cancel", j->cancel);
    set_true(L, "allow_failure", j->allow_failure);
    set_true(L, "when", j->when);
    set_true(L, "fail_fast", j->fail_fast);
}

void script_push_job(lua_State *L, const struct job *j) {
    lua_createtable(L, 0, 48);
    push_numbers(L, j);
    push_times(L, j);
    set_string(L, "id", j->id);
    set_string(L, "name", j->name);
    set_string(L, "queue", j->queue);
    set_string(L, "group", j->group);
    set_string(L, "state", job_state_names[j->state]);
    set_string(L, "kind", job_kind_names[j->kind]);
    set_string(L, "cause", job_cause_names[j->cause]);
    set_string(L, "error", j->error);
    set_string(L, "cwd", j->cwd);
    set_string(L, "stdin_file", j->stdin_path);
    set_string(L, "backoff", j->backoff);
    set_string(L, "description", j->description);
    set_string(L, "tags", j->tags);
    set_string(L, "meta", j->meta);
    set_list(L, "env", &j->env);
    set_list(L, "outputs", &j->outputs);
    set_list(L, "artifacts", &j->artifacts);
    set_string(L, "limits", j->limits);
    set_string(L, "source", j->source);
    if (j->kind == JOB_ARGV) {
        set_list(L, "argv", &j->command);
    } else if (j->kind == JOB_SHELL) {
        lua_pushlstring(L, j->command.data ? j->command.data : "", j->command.len);
        lua_setfield(L, -2, "command");
    }
}

void script_push_values(lua_State *L, const struct buf *list) {
    size_t pos = 0;
    lua_newtable(L);
    for (const char *e; (e = pack_next(list->data, list->len, &pos));) {
        size_t len = strcspn(e + 1, "=");
        lua_pushlstring(L, e + 1, len);
        lua_pushstring(L, e[1 + len] ? e + 1 + len + 1 : "");
        lua_rawset(L, -3);
    }
}

void script_push_attempt(lua_State *L, const struct attempt *a) {
    const struct outcome *o = &a->outcome;
    lua_createtable(L, 0, 14);
    set_number(L, "token", (double)a->token);
    set_number(L, "attempt", a->try_no);
    set_string(L, "worker", a->worker_name);
    set_string(L, "cause", job_cause_names[o->cause]);
    set_string(L, "error", a->error);
    set_known(L, "exit_code", o->exit_code);
    set_known(L, "signal", o->signal);
    set_time(L, "started_at", o->started_at);
    set_time(L, "finished_at", o->finished_at);
    set_number(L, "duration", (double)o->duration_ms / 1000);
    set_number(L, "cpu", (double)o->cpu_ms / 1000);
    set_number(L, "max_rss", (double)o->max_rss_kb * 1024);
    set_number(L, "output_total", (double)o->output_total);
    set_true(L, "incomplete", o->incomplete);
    set_string(L, "report_note", a->report_note);
    if (a->report.len) {
        script_push_values(L, &a->report);
        lua_setfield(L, -2, "report");
    }
}

void script_push_worker(lua_State *L, const struct worker_info *w, bool alive) {
    static const char *const stops[] = {"no", "draining", "stopping"};
    lua_createtable(L, 0, 12);
    set_number(L, "id", (double)w->id);
    set_string(L, "name", w->name);
    set_string(L, "host", w->host);
    set_number(L, "pid", (double)w->pid);
    set_number(L, "slots", w->slots);
    set_number(L, "busy", w->busy);
    set_number(L, "run", (double)w->lane);
    set_time(L, "started_at", w->started_at);
    set_time(L, "heartbeat_at", w->heartbeat_at);
    set_string(L, "stop", stops[w->stop <= STOP_NOW ? w->stop : STOP_NOW]);
    set_true(L, "alive", alive);
}

/* The one word for how a run stands. */
static const char *run_state(const struct run *r, bool alive) {
    if (r->left && alive)
        return "running";
    if (r->left)
        return r->detached ? "queued" : "interrupted";
    if (!r->failed)
        return "ok";
    return r->cancelled ? "cancelled" : "failed";
}

void script_push_run(lua_State *L, const struct run *r, bool alive) {
    lua_createtable(L, 0, 18);
    set_string(L, "state", run_state(r, alive));
    set_string(L, "info", r->info);
    set_true(L, "fail_fast", r->fail_fast);
    set_true(L, "halted", r->halted);
    set_true(L, "detached", r->detached);
    set_true(L, "cancelled", r->cancelled);
    set_number(L, "added", (double)r->added);
    set_number(L, "id", (double)r->id);
    set_string(L, "path", r->path);
    set_string(L, "hash", r->hash);
    set_string(L, "text", r->text);
    set_time(L, "started_at", r->started_at);
    set_time(L, "finished_at", r->finished_at);
    set_number(L, "left", (double)r->left);
    set_number(L, "failed", (double)r->failed);
    set_number(L, "worker", (double)r->worker);
    set_number(L, "jobs", (double)(r->last_seq - r->first_seq + 1 + r->added));
}
