-- A Lua job without a process: a host that writes down what the job does, and files run on it.

local assert = require "luassert"
local lua_job = require "queuectl.lua_job"

local job_host = {}

-- A program that a fake host's exec starts: `result` at its end, the chunks of `prints` before.
local function fake_program(result, prints)
    local program, at = { stopped = false }, 0
    function program.next()
        at = at + 1
        if prints and prints[at] then return prints[at][1], prints[at][2] end
    end
    function program.result()
        local copy = {}
        for key, value in pairs(result) do copy[key] = value end
        return copy
    end
    function program.stop() program.stopped = true end
    return program
end

-- A host that writes down what it is told. `result` answers every exec.
function job_host.new(result, refusal)
    local host = { told = {}, outputs = {}, added = {} }
    local function note(name)
        return function(...) table.insert(host.told, { name, ... }) end
    end
    host.progress, host.log, host.write = note "progress", note "log", note "write"
    host.execute = note "execute"
    function host.output(key, text) host.outputs[key] = text end
    function host.exec(argv, options)
        host.argv, host.options = argv, options
        if not result then return nil, refusal end
        host.program = fake_program(result, host.prints)
        return host.program
    end
    function host.enqueue(message) table.insert(host.added, message) end
    function host.cwd() return "/srv" end
    function host.cancelled() return host.told_to_stop == true end
    host.fs = {}
    function host.finish(kind, value, class)
        assert(not host.kind or host.kind == "go", "finished twice")
        host.kind, host.value, host.class = kind, value, class
    end
    return host
end

-- Runs the job `name` of a whole file.
function job_host.run_file(source, name, info, host)
    host = host or job_host.new()
    local facts = { kind = "lua", path = "jobs.lua", name = name }
    for key, value in pairs(info or {}) do facts[key] = value end
    local program = lua_job.load(source, facts.path)
    assert.equal(lua_job.run(host, program, facts), host.kind)
    return host
end

-- Runs a job whose function has this body, written on line 2.
function job_host.run(body, host, keys, info)
    local source = ('job "a" { %s run = function(job, ctx)\n%s\nend }'):format(keys or "", body)
    local facts = { attempt = 2, deadline = 99 }
    for key, value in pairs(info or {}) do facts[key] = value end
    return job_host.run_file(source, "a", facts, host)
end

function job_host.first_line(host)
    return host.value and host.value:match("^[^\n]*")
end

-- The same for a program of its own making: `job` is what its find returns, or nil.
function job_host.run_job(job, facts, host)
    host = host or job_host.new()
    local given = { kind = "lua", path = "jobs.lua", name = job.name }
    for key, value in pairs(facts or {}) do given[key] = value end
    local program = { code = "jobs.lua", find = function() return job end, params = given.params }
    assert.equal(lua_job.run(host, program, given), host.kind)
    return host
end

return job_host
