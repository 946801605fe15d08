-- ctx.enqueue: jobs that come into being when this one has completed, in the same transaction.

local check = require "queuectl.jobs.check"
local env = require "queuectl.jobs.env"
local json = require "queuectl.json"
local options = require "queuectl.jobs.ctx.options"
local schema = require "queuectl.schema"
local spec = require "queuectl.spec"
local text = require "queuectl.jobs.text"

local enqueue = {}

enqueue.MAX_JOBS = 1000
enqueue.MAX_BYTES = 4 * 1024 * 1024

-- Keys of a jobs file that an added job cannot have, and why.
local REFUSED = {
    id = "its id is made when it is inserted; give it a name",
    matrix = "call ctx.enqueue once for each combination",
    needs = "it starts when this job has completed and waits for no other; "
        .. "let the first of two enqueue the second",
    outputs = "no job of the file could read them",
    shell = 'name the shell in run = { "bash", "-c", "..." }',
    uses = "write what it does in run",
    when = "ask in this function, before ctx.enqueue is called",
}

local function unknown_key(key)
    if type(key) ~= "string" then
        return ("unexpected value at position %s%s"):format(text.describe(key),
            key == 1 and ": write run = ..." or "")
    end
    if REFUSED[key] then
        return ("an added job cannot have %s: %s"):format(text.name(key), REFUSED[key])
    end
    if key ~= "name" and not schema.job[key] then
        return ("unknown key %s%s"):format(text.name(key), schema.hint(key))
    end
end

local function check_keys(given)
    if type(given) ~= "table" or getmetatable(given) then
        return nil, "takes a table such as { run = \"...\" }, not " .. text.describe(given)
    end
    for _, key in ipairs(text.sorted_keys(given)) do
        local message = unknown_key(key)
        if message then return nil, message end
    end
    if given.run == nil then return nil, "run is missing" end
    if type(given.run) == "function" then
        return nil, "run: a function cannot be added: it has no name by which it could be found "
            .. "again; write shell text or a list"
    end
    return true
end

-- The normalised values, checked in the order of the schema.
local function read_values(given, context)
    local values = {}
    for _, row in ipairs(schema.job_keys) do
        if given[row.name] ~= nil then
            local value, message = check[row.check](given[row.name], row, context)
            if value == nil then
                message = type(message) == "table" and message[1] or message
                return nil, ("%s: %s"):format(row.name, message)
            end
            values[row.name] = value
        end
    end
    return values
end

local function check_argv(argv)
    for i, entry in ipairs(argv or {}) do
        if type(entry) == "table" then
            return nil, ("run: entry %d %s"):format(i, options.NO_VALUE)
        end
    end
    return true
end

local function read_env(variables)
    local list = {}
    for _, name in ipairs(text.sorted_keys(variables or {})) do
        local entry = { name = name }
        for key, value in pairs(variables[name]) do entry[key] = value end
        if entry.token then return nil, ("env: %s %s"):format(name, options.NO_VALUE) end
        list[#list + 1] = entry
    end
    local ok, message = check.env_size(env.size(variables))
    if not ok then return nil, "env: " .. message end
    return list
end

-- As a planned job (jobs/build.lua).
local function job_of(given, values, variables, cwd)
    local job = {
        name = given.name, kind = values.run.kind, command = values.run.command,
        argv = values.run.argv, env = variables,
        stdin = values.stdin and values.stdin.text, stdin_file = values.stdin and values.stdin.file,
    }
    for _, row in ipairs(schema.job_keys) do
        if row.field then
            local value = values[row.name]
            if value == nil then value = row.default end
            job[row.field] = value
        end
    end
    job.cwd = job.cwd or cwd
    return job
end

--- A planned job, or nil and what is wrong. `cwd`: what paths are relative to, and where it runs.
function enqueue.read(given, cwd)
    local ok, message = check_keys(given)
    if not ok then return nil, message end
    if given.name ~= nil then
        ok, message = check.job_name(given.name)
        if not ok then return nil, message end
    end
    local values
    values, message = read_values(given, { dir = cwd, encode = json.encode })
    if not values then return nil, message end
    ok, message = check_argv(values.run.argv)
    if not ok then return nil, message end
    local variables
    variables, message = read_env(values.env)
    if not variables then return nil, message end
    return job_of(given, values, variables, cwd)
end

local function field_text(value)
    if type(value) == "number" then return text.number(value) end
    if value == true then return "1" end
    return value or nil
end

--- Packed fields (lua/queuectl/spec.lua) as one message: "KEY:LEN:BYTES" after one another.
function enqueue.message(fields)
    local parts = {}
    for _, key in ipairs(text.sorted_keys(fields)) do
        local value = field_text(fields[key])
        if value then parts[#parts + 1] = ("%s:%d:"):format(key, #value) .. value end
    end
    return table.concat(parts)
end

--- ctx.enqueue(given)
function enqueue.enqueue(state, given)
    local cwd, problem = state.host.cwd()
    if not cwd then return nil, "the current folder: " .. problem end
    local job, message = enqueue.read(given, cwd)
    if not job then return nil, message end
    local fields = enqueue.message(spec.pack(job))
    if state.added == enqueue.MAX_JOBS then
        return nil, ("more than %d jobs; let one of them add the others"):format(enqueue.MAX_JOBS)
    end
    if state.added_bytes + #fields > enqueue.MAX_BYTES then
        return nil, ("more than %d bytes of jobs; put data into files"):format(enqueue.MAX_BYTES)
    end
    state.added, state.added_bytes = state.added + 1, state.added_bytes + #fields
    state.host.enqueue(fields)
end

return enqueue
