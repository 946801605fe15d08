-- Between the C side of a Lua job's process (core/script_job.c) and lua_job.

jit.off(true, true) -- a fork runs this once: what it compiled would be lost with it

local lua_job = require "queuectl.lua_job"

local main = {}

-- The C side takes the changes to the environment as a map; false removes a variable.
local function env_map(env)
    if not env then return nil end
    local map = {}
    for _, entry in ipairs(env) do map[entry.name] = entry.value or false end
    return map
end

local function wrap(host)
    local wrapped = {}
    for name, fn in pairs(host) do wrapped[name] = fn end
    function wrapped.exec(argv, opts)
        local given = {}
        for key, value in pairs(opts) do given[key] = value end
        given.env = env_map(opts.env)
        return host.exec(argv, given)
    end
    return wrapped
end

-- What an entry KEY=VALUE does to the facts; keys that are not here are kept as text.
local READERS = {
    arg = function(facts, value) table.insert(facts.argv, value) end,
    need = function(facts, value)
        table.insert(facts.needs, { name = value, outputs = {} })
    end,
    state = function(facts, value) facts.needs[#facts.needs].state = value end,
    error = function(facts, value) facts.needs[#facts.needs].error = value end,
    output = function(facts, value)
        local key, text = value:match("^([^=]*)=(.*)$")
        facts.needs[#facts.needs].outputs[key] = text
    end,
    when = function(facts, value) facts.when = value == "1" end,
    deadline = function(facts, value)
        local ms = tonumber(value)
        facts.deadline = ms and ms > 0 and ms / 1000 or nil
    end,
    memory = function(facts, value)
        local bytes = tonumber(value)
        facts.memory = bytes and bytes > 0 and bytes or nil
    end,
}

--- The facts of a job from their packed list: entries "=KEY=VALUE", each closed by a NUL. An `arg`
-- adds to argv; state, error and output belong to the need before them.
function main.read_facts(packed)
    local facts = { kind = "lua", argv = {}, needs = {} }
    for key, value in packed:gmatch("=([^=%z]*)=([^%z]*)%z") do
        local read = READERS[key]
        if read then read(facts, value) else facts[key] = value end
    end
    facts.attempt = tonumber(os.getenv("QUEUECTL_ATTEMPT"))
    facts.job = { id = os.getenv("QUEUECTL_JOB_ID") }
    return facts
end

--- Evaluates a program once, for any number of jobs of it, of which this process or a fork of it
-- runs one.
function main.load(document, path)
    local program = lua_job.load(document, path)
    program.host = wrap(require "queuectl.host")
    lua_job.prepare(program, program.host)
    return program
end

--- Runs the job that the packed facts speak of.
function main.start(program, facts_text)
    local facts = main.read_facts(facts_text)
    if facts.memory then program.host.limit_memory(facts.memory) end
    lua_job.run(program.host, program, facts)
end

return main
