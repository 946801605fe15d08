/* What a Lua job does through C: messages to the worker, programs, files. */
#ifndef QUEUECTL_SCRIPT_HOST_H
#define QUEUECTL_SCRIPT_HOST_H

#include <lua.h>

enum { CHANNEL_FD = 3 }; /* to the worker (worker_channel.c) */

/* The opener of the module queuectl.host. */
int script_open_host(lua_State *L);

#endif
