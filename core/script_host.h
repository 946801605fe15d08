/* The module queuectl.host: what the process of a Lua job tells its worker, and what it may do. */
#ifndef QUEUECTL_SCRIPT_HOST_H
#define QUEUECTL_SCRIPT_HOST_H

#include <lua.h>

enum { HOST_CHANNEL_FD = 3 }; /* to the worker (worker_channel.c) */

int script_open_host(lua_State *L);

#endif
