/* The one door to Lua: states, the program's own modules, the protected call. */
#ifndef QUEUECTL_SCRIPT_H
#define QUEUECTL_SCRIPT_H

#include <lua.h>

#include "util.h"

/* A state with all libraries, the embedded modules, cjson and the C module `name` within reach of
 * require. memory_cap: bytes Lua may hold (0: no limit); beyond it an allocation is a Lua error,
 * not our end. NULL when out of memory. */
lua_State *script_new(const char *name, lua_CFunction open, size_t memory_cap);
void script_free(lua_State *L);
/* A new memory_cap, for a state that was made with one. */
void script_set_memory(lua_State *L, size_t memory_cap);

/* Call the function below its n_args arguments, with traceback. 0 and n_results on the stack, or -1
 * with err and nothing. */
int script_call(lua_State *L, int n_args, int n_results, struct err *err);

/* Push the module's table. As script_call. */
int script_require(lua_State *L, const char *name, struct err *err);

/* nil, message, exit code: how failures of the world come back to Lua. Returns 3. */
int script_fail(lua_State *L, const struct err *err);

/* Parts of queuectl.core: each adds its functions to the table on top of the stack. */
void script_add_store(lua_State *L);
void script_add_system(lua_State *L);
void script_add_process(lua_State *L);
void script_add_watch(lua_State *L);

/* Where signals come from once core.catch_signals() was called, -1 before; and the next one, 0:
 * none. */
int script_signal_fd(void);
int script_read_signal(void);

#endif
