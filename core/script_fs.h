/* Files for Lua jobs: what Lua's own io and os cannot do. */
#ifndef QUEUECTL_SCRIPT_FS_H
#define QUEUECTL_SCRIPT_FS_H

#include <lua.h>

/* append(path, text) -> true, or nil, the reason and whether the folder is missing. One write at
 * the end of the file, which is made where there is none: for its owner alone, and not where a link
 * leads. */
int script_append(lua_State *L);

/* Adds its functions to the table on top of the stack. */
void script_add_fs(lua_State *L);

#endif
