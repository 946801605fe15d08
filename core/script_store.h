/* What the files behind the store's Lua methods share. */
#ifndef QUEUECTL_SCRIPT_STORE_H
#define QUEUECTL_SCRIPT_STORE_H

#include <lua.h>

#include "store.h"

/* The open store a method was called on; raises if it is closed. */
struct store *script_store(lua_State *L);

/* The end of a transaction: commits and rings, or rolls back after rc < 0. rc, or -1. */
int script_end_tx(struct store *s, int rc, struct err *err);

/* Both push what a method returns, and return how many values that is. */
int script_push_enqueued(lua_State *L, const struct enqueued *done, size_t n);
int script_no_such_job(lua_State *L, const char *id);

/* Adds the methods for runs to the table at the top (script_runs.c). */
void script_add_runs(lua_State *L);

#endif
