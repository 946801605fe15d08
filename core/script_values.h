/* Plain data between Lua and C: job specs in; jobs, attempts, workers and runs out. What C
 * allocates hangs on userdata, so that a Lua error on the way frees it. */
#ifndef QUEUECTL_SCRIPT_VALUES_H
#define QUEUECTL_SCRIPT_VALUES_H

#include <lua.h>

#include "store.h"

/* Fields of the table at `index`. Strings are the table's: they live as long as it does. NULL/{0}
 * where there is none; another type raises. */
const char *script_string(lua_State *L, int index, const char *field);
struct bytes script_bytes(lua_State *L, int index, const char *field);
bool script_boolean(lua_State *L, int index, const char *field); /* false where there is none */
double script_number(lua_State *L, int index, const char *field, double none);

/* The list of specs at `index` (what lua/queuectl/spec.lua makes). Pushes what owns the result. */
struct job_spec *script_specs(lua_State *L, int index, size_t *n);

/* The one spec at `index`, without its needs. */
struct job_spec script_spec(lua_State *L, int index);

/* Each pushes one value: the owner of what it returns or is given. */
struct job *script_new_jobs(lua_State *L, size_t n);
struct run *script_new_runs(lua_State *L, size_t n);
char **script_anchor(lua_State *L); /* frees *anchor */
void script_own_attempts(lua_State *L, struct attempt *list, size_t n);
void script_own_workers(lua_State *L, struct worker_info *list, size_t n);

/* Each pushes a table; times in seconds. */
void script_push_job(lua_State *L, const struct job *j);
void script_push_attempt(lua_State *L, const struct attempt *a);
void script_push_values(lua_State *L, const struct buf *list); /* packed "=KEY=VALUE" */
void script_push_worker(lua_State *L, const struct worker_info *w, bool alive);
/* `alive`: its worker lives. Pushes the word of its state, too: running, queued (for the workers of
 * the common lane), interrupted, ok, failed or cancelled. */
void script_push_run(lua_State *L, const struct run *r, bool alive);

#endif
