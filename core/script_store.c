/* The store as Lua sees it: core.open and the methods of what it returns. Failures of the world
 * come back as nil, message, exit code. */
#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ids.h"
#include "lease.h"
#include "pack.h"
#include "script.h"
#include "script_store.h"
#include "script_values.h"
#include "store.h"

enum { LONG_LOG = 256 * 1024 }; /* bytes: an opener alone reads all of it */

static const char STORE[] = "queuectl.store";

static struct store **box(lua_State *L) {
    return luaL_checkudata(L, 1, STORE);
}

struct store *script_store(lua_State *L) {
    struct store **s = box(L);
    if (!*s)
        luaL_error(L, "the store is closed");
    return *s;
}

static int l_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    unsigned flags = STORE_WAIT | (lua_toboolean(L, 2) ? STORE_CREATE : 0U);
    struct store **s = lua_newuserdata(L, sizeof(*s));
    *s = NULL;
    luaL_getmetatable(L, STORE);
    lua_setmetatable(L, -2);
    struct err err = {0};
    return store_open(path, flags, s, &err) < 0 ? script_fail(L, &err) : 1;
}

static bool any_worker(struct store *s) {
    struct worker_info *list;
    size_t n;
    if (s->ops->workers(s, &list, &n, NULL) < 0)
        return true;
    for (size_t i = 0; i < n; i++)
        worker_info_free(&list[i]);
    free(list);
    return n > 0;
}

/* The worker tidies the log; without one, whoever leaves it long does. */
static int l_close(lua_State *L) {
    struct store **s = box(L);
    if (*s && !any_worker(*s))
        (*s)->ops->checkpoint(*s, LONG_LOG);
    if (*s)
        (*s)->ops->close(*s);
    *s = NULL;
    return 0;
}

/* ---- writing: each call is one transaction ---- */

int script_end_tx(struct store *s, int rc, struct err *err) {
    if (rc < 0) {
        s->ops->rollback(s);
        return -1;
    }
    if (s->ops->commit(s, err) < 0)
        return -1;
    s->ops->ring(s);
    return rc;
}

static void push_enqueued(lua_State *L, const struct enqueued *e) {
    lua_createtable(L, 0, 5);
    lua_pushstring(L, e->id);
    lua_setfield(L, -2, "id");
    lua_pushboolean(L, e->existed);
    lua_setfield(L, -2, "existed");
    lua_pushstring(L, job_state_names[e->state]);
    lua_setfield(L, -2, "state");
    lua_pushnumber(L, (double)e->run_at / 1000);
    lua_setfield(L, -2, "run_at");
    lua_pushnumber(L, (double)e->seq);
    lua_setfield(L, -2, "seq");
}

int script_push_enqueued(lua_State *L, const struct enqueued *done, size_t n) {
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_enqueued(L, &done[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* store:enqueue(specs) -> { {id, existed, state, run_at, seq}, … }. All or nothing. */
static int l_enqueue(lua_State *L) {
    struct store *s = script_store(L);
    size_t n;
    struct job_spec *specs = script_specs(L, 2, &n);                     // … (anchors)
    struct enqueued *done = lua_newuserdata(L, (n + 1) * sizeof(*done)); // … done
    struct err err = {0};
    int rc = s->ops->begin(s, &err);
    if (rc == 0)
        rc = script_end_tx(s, s->ops->enqueue(s, 0, specs, n, done, &err), &err);
    return rc < 0 ? script_fail(L, &err) : script_push_enqueued(L, done, n);
}

int script_no_such_job(lua_State *L, const char *id) {
    struct err err = {0};
    err_set(&err, ERR_NOT_FOUND, "no job '%.128s'; see them with: queuectl list", id);
    return script_fail(L, &err);
}

/* store:cancel(id) -> state after: "cancelled", or "processing" while its worker stops it */
static int l_cancel(lua_State *L) {
    struct store *s = script_store(L);
    const char *id = luaL_checkstring(L, 2);
    struct err err = {0};
    enum job_state after = JOB_CANCELLED;
    int rc = s->ops->begin(s, &err);
    if (rc == 0)
        rc = script_end_tx(s, s->ops->cancel(s, id, &after, &err), &err);
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : script_no_such_job(L, id);
    lua_pushstring(L, job_state_names[after]);
    return 1;
}

/* New settings for a job: {spec, text}. `text`: of the program spec->source is the hash of, when it
 * may be new. */
struct settings {
    struct job_spec spec;
    struct bytes text;
};

/* The arguments at and behind `arg`. */
static struct settings check_settings(lua_State *L, int arg) {
    struct settings new = {.spec = script_spec(L, arg)};
    new.text.data = luaL_optlstring(L, arg + 1, NULL, &new.text.len);
    luaL_argcheck(L, !new.text.data || new.spec.source, arg + 1, "a text without its hash");
    return new;
}

static int redefine(struct store *s, const char *id, const struct settings *new, struct err *err) {
    if (new->text.data && s->ops->source_add(s, new->spec.source, new->text, err) < 0)
        return -1;
    return s->ops->redefine(s, id, &new->spec, err);
}

/* store:retry(id, again [, spec, text]) -> state before. With a spec the job gets these settings.
 */
static int l_retry(lua_State *L) {
    struct store *s = script_store(L);
    const char *id = luaL_checkstring(L, 2);
    bool has_new = !lua_isnoneornil(L, 4);
    struct settings new = {0};
    struct err err = {0};
    enum job_state before = JOB_DEAD;
    if (has_new)
        new = check_settings(L, 4);
    int rc = s->ops->begin(s, &err);
    if (rc == 0) {
        rc = s->ops->retry(s, id, lua_toboolean(L, 3), &before, &err);
        if (rc > 0 && has_new)
            rc = redefine(s, id, &new, &err);
        rc = script_end_tx(s, rc, &err);
    }
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : script_no_such_job(L, id);
    lua_pushstring(L, job_state_names[before]);
    return 1;
}

/* store:redefine(id, spec, text) -> true */
static int l_redefine(lua_State *L) {
    struct store *s = script_store(L);
    const char *id = luaL_checkstring(L, 2);
    struct settings new = check_settings(L, 3);
    struct err err = {0};
    int rc = s->ops->begin(s, &err);
    if (rc == 0)
        rc = script_end_tx(s, redefine(s, id, &new, &err), &err);
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : script_no_such_job(L, id);
    lua_pushboolean(L, 1);
    return 1;
}

/* store:stop_worker(id, now) -> boolean */
static int l_stop_worker(lua_State *L) {
    struct store *s = script_store(L);
    int64_t id = (int64_t)luaL_checknumber(L, 2);
    enum worker_stop how = lua_toboolean(L, 3) ? STOP_NOW : STOP_DRAIN;
    struct err err = {0};
    int rc = s->ops->begin(s, &err);
    if (rc == 0)
        rc = script_end_tx(s, s->ops->worker_stop(s, id, how, &err), &err);
    if (rc < 0)
        return script_fail(L, &err);
    lua_pushboolean(L, rc > 0);
    return 1;
}

/* store:recover() -> number of jobs taken back from dead workers */
static int l_recover(lua_State *L) {
    struct store *s = script_store(L);
    struct err err = {0};
    size_t n = 0;
    if (lease_recover(s, 0, &n, &err) < 0)
        return script_fail(L, &err);
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
}

/* ---- reading ---- */

/* store:get(id) -> job */
static int l_get(lua_State *L) {
    struct store *s = script_store(L);
    const char *id = luaL_checkstring(L, 2);
    struct err err = {0};
    struct job *j = script_new_jobs(L, 1); // j
    int rc = s->ops->get(s, id, 0, j, &err);
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : script_no_such_job(L, id);
    script_push_job(L, j);
    return 1;
}

/* Cursors are texts in Lua: what a page was sorted by does not fit into a number. */
static struct list_cursor check_cursor(lua_State *L, const char *text) {
    struct list_cursor c = {0};
    int64_t *const parts[] = {&c.part, &c.lane, &c.at, &c.seq};
    char *end = (char *)(uintptr_t)text;
    for (size_t i = 0; text && i < ARRAY_LEN(parts); i++) {
        *parts[i] = strtoll(text, &end, 10);
        if (end == text || *end != (i + 1 < ARRAY_LEN(parts) ? ':' : '\0'))
            luaL_error(L, "after: '%s' is no cursor", text);
        text = end + 1;
    }
    return c;
}

static void push_cursor(lua_State *L, const struct list_cursor *c) {
    char text[96];
    snprintf(text, sizeof(text), "%lld:%lld:%lld:%lld", (long long)c->part, (long long)c->lane,
             (long long)c->at, (long long)c->seq);
    lua_pushstring(L, text);
}

/* store:list{state, run, after, limit} -> { job, … }, cursor of the next page or nil */
static int l_list(lua_State *L) {
    struct store *s = script_store(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    const char *state = script_string(L, 2, "state");
    struct list_query q = {.state = state ? name_find(job_state_names, JOB_STATES, state) : -1,
                           .run = (int64_t)script_number(L, 2, "run", 0),
                           .after = check_cursor(L, script_string(L, 2, "after")),
                           .limit = (int)script_number(L, 2, "limit", 200)};
    luaL_argcheck(L, q.limit > 0 && q.limit <= 10000, 2, "limit");
    struct job *jobs = script_new_jobs(L, (size_t)q.limit);
    struct err err = {0};
    size_t n = 0;
    struct list_cursor next;
    if (s->ops->list(s, &q, jobs, &n, &next, &err) < 0)
        return script_fail(L, &err);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        script_push_job(L, &jobs[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    if (!next.part)
        return 1;
    push_cursor(L, &next);
    return 2;
}

/* store:counts() -> { pending = n, … } with every state */
static int l_counts(lua_State *L) {
    struct store *s = script_store(L);
    int64_t counts[JOB_STATES];
    struct err err = {0};
    if (s->ops->counts(s, counts, &err) < 0)
        return script_fail(L, &err);
    lua_createtable(L, 0, JOB_STATES);
    for (int i = 0; i < JOB_STATES; i++) {
        lua_pushnumber(L, (double)counts[i]);
        lua_setfield(L, -2, job_state_names[i]);
    }
    return 1;
}

/* store:attempts(seq) -> { attempt, … }, oldest first */
static int l_attempts(lua_State *L) {
    struct store *s = script_store(L);
    int64_t seq = (int64_t)luaL_checknumber(L, 2);
    struct attempt *list;
    size_t n;
    struct err err = {0};
    if (s->ops->attempts(s, seq, &list, &n, &err) < 0)
        return script_fail(L, &err);
    script_own_attempts(L, list, n); // owner
    lua_createtable(L, (int)n, 0);   // owner list
    for (size_t i = 0; i < n; i++) {
        script_push_attempt(L, &list[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* store:output(seq, token, offset) -> { offset, stream, at, data } or nothing */
static int l_output(lua_State *L) {
    struct store *s = script_store(L);
    struct chunk c = {.offset = (int64_t)luaL_checknumber(L, 4)};
    struct err err = {0};
    char **anchor = script_anchor(L);
    int rc = s->ops->output_next(s, (int64_t)luaL_checknumber(L, 2),
                                 (int64_t)luaL_checknumber(L, 3), &c, &err);
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : 0;
    *anchor = (char *)(uintptr_t)c.data.data;
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, (double)c.offset);
    lua_setfield(L, -2, "offset");
    lua_pushinteger(L, c.stream);
    lua_setfield(L, -2, "stream");
    lua_pushnumber(L, (double)c.at / 1000);
    lua_setfield(L, -2, "at");
    lua_pushlstring(L, c.data.data, c.data.len);
    lua_setfield(L, -2, "data");
    return 1;
}

/* store:values(seq) -> { KEY = VALUE } */
static int l_values(lua_State *L) {
    struct store *s = script_store(L);
    struct buf list = {0};
    struct err err = {0};
    char **anchor = script_anchor(L);
    int rc = s->ops->values(s, (int64_t)luaL_checknumber(L, 2), &list, &err);
    *anchor = list.data;
    if (rc < 0)
        return script_fail(L, &err);
    script_push_values(L, &list);
    return 1;
}

/* store:artifacts(seq) -> { {path, size}, … } by path */
static int l_artifacts(lua_State *L) {
    struct store *s = script_store(L);
    struct buf list = {0};
    struct err err = {0};
    char **anchor = script_anchor(L);
    int rc = s->ops->artifacts(s, (int64_t)luaL_checknumber(L, 2), &list, &err);
    *anchor = list.data;
    if (rc < 0)
        return script_fail(L, &err);
    lua_newtable(L);
    size_t pos = 0;
    int n = 0;
    for (const char *e; (e = pack_next(list.data, list.len, &pos));) {
        char *path;
        lua_createtable(L, 0, 2);
        lua_pushnumber(L, (double)strtoll(e + 1, &path, 10));
        lua_setfield(L, -2, "size");
        lua_pushstring(L, path + 1);
        lua_setfield(L, -2, "path");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* store:workers() -> { worker, … }, each with `alive` */
static int l_workers(lua_State *L) {
    struct store *s = script_store(L);
    struct worker_info *list;
    size_t n;
    struct err err = {0};
    if (s->ops->workers(s, &list, &n, &err) < 0)
        return script_fail(L, &err);
    script_own_workers(L, list, n);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        script_push_worker(L, &list[i], lease_is_alive(s, &list[i]));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* A foreign commit rings before it is visible: look again for a moment. */
static void await_change(struct store *s) {
    for (int i = 0; i < 25 && s->ops->changed(s) == 0; i++)
        poll(NULL, 0, 2);
}

/* store:watch(seconds) -> true when something may have changed, false at the time limit */
static int l_watch(lua_State *L) {
    struct store *s = script_store(L);
    double seconds = luaL_checknumber(L, 2);
    struct pollfd p = {s->ops->notify_fd(s), POLLIN, 0};
    bool rang = s->ops->changed(s); /* since the last call, or this is the first one */
    if (!rang && poll(&p, 1, (int)(seconds * 1000)) > 0) {
        rang = true;
        s->ops->notify_drain(s);
        await_change(s);
    }
    lua_pushboolean(L, rang);
    return 1;
}

void script_add_store(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"close", l_close},
        {"enqueue", l_enqueue},
        {"cancel", l_cancel},
        {"retry", l_retry},
        {"redefine", l_redefine},
        {"stop_worker", l_stop_worker},
        {"recover", l_recover},
        {"get", l_get},
        {"list", l_list},
        {"counts", l_counts},
        {"attempts", l_attempts},
        {"output", l_output},
        {"values", l_values},
        {"artifacts", l_artifacts},
        {"workers", l_workers},
        {"watch", l_watch},
        {NULL, NULL},
    };
    luaL_newmetatable(L, STORE); // core meta
    luaL_register(L, NULL, methods);
    script_add_runs(L);
    lua_pushvalue(L, -1);           // core meta meta
    lua_setfield(L, -2, "__index"); // core meta
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1); // core
    lua_pushcfunction(L, l_open);
    lua_setfield(L, -2, "open");
    lua_pushinteger(L, OUTPUT_HEAD);
    lua_setfield(L, -2, "output_head");
    lua_pushinteger(L, OUTPUT_TAIL);
    lua_setfield(L, -2, "output_tail");
}
