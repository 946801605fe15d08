-- `ctx`, all a Lua job may do, put together from jobs/ctx/: run programs, read what it was given,
-- tell, add jobs, handle files and JSON, and say how it ended. Wrong arguments raise at the line of
-- the job that made the call.

local bind = require "queuectl.jobs.ctx.bind"
local enqueue = require "queuectl.jobs.ctx.enqueue"
local exec = require "queuectl.jobs.ctx.exec"
local fs = require "queuectl.jobs.ctx.fs"
local given = require "queuectl.jobs.ctx.given"
local json = require "queuectl.jobs.ctx.json"
local outcome = require "queuectl.jobs.ctx.outcome"
local tell = require "queuectl.jobs.ctx.tell"

local context = {}

-- true once TERM has come. The first call takes the signal over: a job that never asks is ended by
-- it, one that asks must see to its end itself (KILL follows after kill_after).
local function cancelled(state)
    return state.host.cancelled()
end

local FUNCTIONS = { cancelled = cancelled, enqueue = enqueue.enqueue, exec = exec.exec }
for _, functions in ipairs { outcome.functions, tell.functions } do
    for name, fn in pairs(functions) do FUNCTIONS[name] = fn end
end

-- A table that can be called: ctx.sh "text" and ctx.sh.quote(text).
local function new_shell(state)
    local shell = bind.space(state, "ctx.sh", { quote = exec.quote })
    local call = bind.call(state, "ctx.sh", exec.sh)
    getmetatable(shell).__call = function(_, ...) return call(...) end
    return shell
end

--- The ctx of a job, all but what is known only when it starts, and its state: `outputs`, the set
-- of names given so far; `last_maker`, the function that made the last outcome, whether it was
-- returned or not; `results`, the set of results of ctx.exec. `params`: values by name.
function context.prepare(host, code, params)
    local state = { host = host, code = code, outputs = {}, added = 0, added_bytes = 0 }
    -- Weak: what programs wrote is not kept alive by this.
    state.results = setmetatable({}, { __mode = "k" })
    state.temp_dirs = {}
    state.no_outputs, state.no_needs = given.needs(state, {})
    local ctx = bind.space(state, "ctx", FUNCTIONS, {
        params = given.params(state, params),
        fs = bind.space(state, "ctx.fs", fs.functions),
        json = bind.space(state, "ctx.json", json.functions, { null = json.null }),
        sh = new_shell(state),
    }, { "attempt", "deadline", "needs", "outputs" })
    return ctx, state
end

--- info: attempt, deadline (may be nil), needs (a list as given.needs takes it).
function context.complete(ctx, state, info)
    local outputs, needs = state.no_outputs, state.no_needs
    if info.needs and info.needs[1] then outputs, needs = given.needs(state, info.needs) end
    rawset(ctx, "attempt", info.attempt)
    rawset(ctx, "deadline", info.deadline)
    rawset(ctx, "outputs", outputs)
    rawset(ctx, "needs", needs)
end

--- Once the job's functions have been called for the last time.
function context.close(state)
    fs.clean_up(state)
end

context.is_outcome = outcome.is
context.check_output = tell.check_output

return context
