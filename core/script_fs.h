/* Files for Lua jobs: what Lua's own io and os cannot do. */
#ifndef QUEUECTL_SCRIPT_FS_H
#define QUEUECTL_SCRIPT_FS_H

#include <lua.h>

/* Adds its functions to the table on top of the stack. */
void script_add_fs(lua_State *L);

#endif
