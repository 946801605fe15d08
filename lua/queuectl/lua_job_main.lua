-- Between the C side of a Lua job's process (core/script_job.c) and lua_job.

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
        return host.exec(argv, { cwd = opts.cwd, env = env_map(opts.env), stdin = opts.stdin,
            timeout_ms = opts.timeout_ms })
    end
    return wrapped
end

--- The program: the text of a jobs file, evaluated once for all its jobs.
function main.load(text, path)
    return { text = text, path = path }
end

local function read_facts(packed)
    local facts = {}
    for key, value in packed:gmatch("=([%w_]+)=([^%z]*)%z") do facts[key] = value end
    return facts
end

--- packed: the facts of the attempt, as core/worker_program.c writes them.
function main.start(host, program, packed)
    local facts = read_facts(packed)
    local deadline = tonumber(facts.deadline)
    lua_job.run(wrap(host), program.text, program.path, facts.name, {
        attempt = tonumber(os.getenv("QUEUECTL_ATTEMPT")),
        deadline = deadline and deadline > 0 and deadline / 1000 or nil,
        job = { id = os.getenv("QUEUECTL_JOB_ID") },
    })
end

return main
