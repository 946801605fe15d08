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

--- facts: name, path, text, deadline (wall ms as text, "0": none), as core/script_job.c reads them.
function main.start(host, facts)
    local deadline = tonumber(facts.deadline)
    lua_job.run(wrap(host), facts.text, facts.path, facts.name, {
        attempt = tonumber(os.getenv("QUEUECTL_ATTEMPT")),
        deadline = deadline and deadline > 0 and deadline / 1000 or nil,
        job = { id = os.getenv("QUEUECTL_JOB_ID") },
    })
end

return main
