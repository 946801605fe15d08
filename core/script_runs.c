/* Methods of the store for runs of jobs files. */
#include <lauxlib.h>
#include <stdlib.h>

#include "lease.h"
#include "pack.h"
#include "script.h"
#include "script_store.h"
#include "script_values.h"

static int no_such_run(lua_State *L, int64_t id) {
    struct err err = {0};
    err_set(&err, ERR_NOT_FOUND, "no run %lld; see them with: queuectl runs", (long long)id);
    return script_fail(L, &err);
}

static int64_t check_run(lua_State *L) {
    return (int64_t)luaL_checknumber(L, 2);
}

/* Whether it can be gone on with: nobody works it, and no other run of its files has begun since.
 */
static int check_last(struct store *s, int64_t run, struct err *err) {
    struct run r, last;
    if (lease_check_run(s, run, true, err) < 0 || s->ops->run_get(s, run, NULL, &r, err) < 0)
        return -1;
    int rc = s->ops->run_get(s, 0, r.path, &last, err);
    run_free(&r);
    if (rc < 0)
        return -1;
    int64_t id = last.id;
    run_free(&last);
    if (id == run)
        return 0;
    return err_set(err, ERR_STATE,
                   "run %lld of the same files has begun meanwhile; see: queuectl runs show %lld",
                   (long long)id, (long long)id);
}

/* What is left of an earlier run is cancelled, unless somebody works on it. */
static int put_aside(struct store *s, int64_t run, struct err *err) {
    size_t n, running;
    if (check_last(s, run, err) < 0 || s->ops->move_run(s, run, false, err) < 0)
        return -1;
    return s->ops->cancel_run(s, run, &n, &running, err) < 0 ? -1 : 0;
}

/* store:start_run({path, hash, text, fail_fast, detached, info, replaces}, specs) -> run id, as
 * enqueue. replaces: the run that this one takes the place of. */
static int l_start_run(lua_State *L) {
    struct store *s = script_store(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t n;
    struct run_spec run = {.path = script_string(L, 2, "path"),
                           .hash = script_string(L, 2, "hash"),
                           .text = script_bytes(L, 2, "text"),
                           .fail_fast = script_boolean(L, 2, "fail_fast"),
                           .detached = script_boolean(L, 2, "detached"),
                           .info = script_string(L, 2, "info")};
    struct job_spec *specs = script_specs(L, 3, &n);
    struct enqueued *done = lua_newuserdata(L, (n + 1) * sizeof(*done));
    struct err err = {0};
    int64_t id = 0, old = (int64_t)script_number(L, 2, "replaces", 0);
    int rc = s->ops->begin(s, &err);
    if (rc == 0) {
        rc = old ? put_aside(s, old, &err) : 0;
        if (rc == 0)
            rc = s->ops->run_create(s, &run, &id, &err);
        if (rc == 0)
            rc = s->ops->enqueue(s, id, specs, n, done, &err);
        rc = script_end_tx(s, rc, &err);
    }
    if (rc < 0)
        return script_fail(L, &err);
    lua_pushnumber(L, (double)id);
    script_push_enqueued(L, done, n);
    return 2;
}

/* ---- which of them are being worked ---- */

/* Workers that live: their numbers, in a buffer that Lua owns. */
static int push_living(lua_State *L, struct store *s, int64_t **ids, size_t *n, struct err *err) {
    struct worker_info *list;
    size_t len;
    *n = 0;
    if (s->ops->workers(s, &list, &len, err) < 0)
        return -1;
    script_own_workers(L, list, len);                     // owner
    *ids = lua_newuserdata(L, (len + 1) * sizeof(**ids)); // owner ids
    for (size_t i = 0; i < len; i++)
        if (lease_is_alive(s, &list[i]))
            (*ids)[(*n)++] = list[i].id;
    return 0;
}

static bool is_one_of(int64_t id, const int64_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* store:run(id | path) -> run or nothing */
static int l_run(lua_State *L) {
    struct store *s = script_store(L);
    bool by_id = lua_type(L, 2) == LUA_TNUMBER;
    int64_t id = by_id ? (int64_t)lua_tonumber(L, 2) : 0;
    const char *path = by_id ? NULL : luaL_checkstring(L, 2);
    struct run *r = script_new_runs(L, 1);
    struct err err = {0};
    int64_t *living;
    size_t n;
    int rc = s->ops->run_get(s, id, path, r, &err);
    if (rc > 0 && push_living(L, s, &living, &n, &err) < 0)
        rc = -1;
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : 0;
    script_push_run(L, r, is_one_of(r->worker, living, n));
    return 1;
}

/* store:runs{path, after, limit} -> { run, … } newest first, cursor of the next page or nil */
static int l_runs(lua_State *L) {
    struct store *s = script_store(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct run_query q = {.path = script_string(L, 2, "path"),
                          .after = (int64_t)script_number(L, 2, "after", 0),
                          .limit = (int)script_number(L, 2, "limit", 200)};
    luaL_argcheck(L, q.limit > 0 && q.limit <= 10000, 2, "limit");
    struct run *runs = script_new_runs(L, (size_t)q.limit);
    struct err err = {0};
    int64_t *living, next = 0;
    size_t n = 0, n_living;
    if (s->ops->runs(s, &q, runs, &n, &next, &err) < 0 ||
        push_living(L, s, &living, &n_living, &err) < 0)
        return script_fail(L, &err);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        script_push_run(L, &runs[i], is_one_of(runs[i].worker, living, n_living));
        lua_rawseti(L, -2, (int)i + 1);
    }
    if (!next)
        return 1;
    lua_pushnumber(L, (double)next);
    return 2;
}

/* ---- what people do to them ---- */

/* The run's jobs to where they are to be worked, and what went wrong to its next chance. */
static int resume(struct store *s, int64_t run, bool detached, size_t *n, struct err *err) {
    if (check_last(s, run, err) < 0 || s->ops->move_run(s, run, detached, err) < 0)
        return -1;
    return s->ops->revive(s, run, n, err);
}

/* store:resume_run(run, detached) -> number of jobs that had gone wrong and may run again. Nothing
 * happens while a worker works it. Jobs of dead workers are taken back first. */
static int l_resume_run(lua_State *L) {
    struct store *s = script_store(L);
    int64_t run = check_run(L);
    bool detached = lua_toboolean(L, 3);
    struct err err = {0};
    size_t n = 0, recovered;
    int rc = lease_recover(s, 0, &recovered, &err);
    if (rc == 0)
        rc = s->ops->begin(s, &err);
    if (rc == 0)
        rc = script_end_tx(s, resume(s, run, detached, &n, &err), &err);
    if (rc < 0)
        return script_fail(L, &err);
    lua_pushnumber(L, (double)n);
    return 1;
}

/* store:cancel_run(run) -> number of jobs cancelled, number of those whose worker stops them */
static int l_cancel_run(lua_State *L) {
    struct store *s = script_store(L);
    int64_t run = check_run(L);
    struct err err = {0};
    size_t n = 0, running = 0;
    int rc = s->ops->begin(s, &err);
    if (rc == 0)
        rc = script_end_tx(s, s->ops->cancel_run(s, run, &n, &running, &err), &err);
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : no_such_run(L, run);
    lua_pushnumber(L, (double)n);
    lua_pushnumber(L, (double)running);
    return 2;
}

/* ---- more of what is known ---- */

/* store:run_times(run) -> { NAME = seconds of the last attempt of a completed job } */
static int l_run_times(lua_State *L) {
    struct store *s = script_store(L);
    struct buf list = {0};
    struct err err = {0};
    char **anchor = script_anchor(L);
    int rc = s->ops->run_times(s, check_run(L), &list, &err);
    *anchor = list.data;
    if (rc < 0)
        return script_fail(L, &err);
    lua_newtable(L);
    size_t pos = 0;
    for (const char *e; (e = pack_next(list.data, list.len, &pos));) {
        char *name;
        double ms = (double)strtoll(e + 1, &name, 10);
        lua_pushstring(L, name + 1);
        lua_pushnumber(L, ms / 1000);
        lua_rawset(L, -3);
    }
    return 1;
}

/* store:source(hash) -> text or nothing */
static int l_source(lua_State *L) {
    struct store *s = script_store(L);
    struct buf text = {0};
    struct err err = {0};
    char **anchor = script_anchor(L);
    int rc = s->ops->source(s, luaL_checkstring(L, 2), &text, &err);
    *anchor = text.data;
    if (rc <= 0)
        return rc < 0 ? script_fail(L, &err) : 0;
    lua_pushlstring(L, text.data ? text.data : "", text.len);
    return 1;
}

void script_add_runs(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"start_run", l_start_run},
        {"run", l_run},
        {"runs", l_runs},
        {"resume_run", l_resume_run},
        {"cancel_run", l_cancel_run},
        {"run_times", l_run_times},
        {"source", l_source},
        {NULL, NULL},
    };
    luaL_register(L, NULL, methods);
}
