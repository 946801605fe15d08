-- A jobs file with a store of its own, for the specs of `queuectl run`.

local assert = require "luassert"
local t = require "support"

local Project = {}
Project.__index = Project

local project = {}

-- `text` is the jobs file. The folder is where queuectl is started, so messages name "jobs.lua".
function project.new(text)
    local dir = t.tmpdir()
    local self = setmetatable({ dir = dir, store = dir .. "/q.db", witness = dir .. "/witness" },
                              Project)
    self:write(text)
    return self
end

function Project:write(text, name)
    return t.write_file(self.dir .. "/" .. (name or "jobs.lua"), text)
end

function Project:read(name)
    return t.read_file(self.dir .. "/" .. name)
end

-- queuectl ARGS with this store, in this folder, WITNESS in the environment; a table as the last
-- argument holds more for the environment.
function Project:q(...)
    local argv, env = { t.binary, ... }, { QUEUECTL_STORE = self.store, WITNESS = self.witness }
    if type(argv[#argv]) == "table" then
        for name, value in pairs(table.remove(argv)) do env[name] = value end
    end
    return t.run(argv, { cwd = self.dir, env = env, timeout = 60 })
end

function Project:spawn(...)
    local env = { QUEUECTL_STORE = self.store, WITNESS = self.witness }
    return t.spawn({ t.binary, ... }, { cwd = self.dir, env = env })
end

-- Runs jobs.lua and expects this exit code.
function Project:run(code, ...)
    local r = self:q("run", "jobs.lua", ...)
    assert.equal(code, r.code, r.out .. r.err)
    return r
end

-- Every job of the store by name, as `list` and `show` have it.
function Project:jobs()
    local r = self:q("list", "--json")
    assert.equal(0, r.code, r.err)
    local by_name = {}
    for _, job in ipairs(t.json(r.out)) do by_name[job.name] = job end
    return by_name
end

function Project:show(name)
    local r = self:q("show", "--json", self:jobs()[name].id)
    assert.equal(0, r.code, r.err)
    return t.json(r.out)
end

function Project:logs(name)
    return self:q("logs", self:jobs()[name].id).out
end

-- { name = state } of the given names, or of all.
function Project:states()
    local states = {}
    for name, job in pairs(self:jobs()) do states[name] = job.state end
    return states
end

-- How many jobs the store has; 0 where there is no store.
function Project:count()
    if not t.exists(self.store) then return 0 end
    local r, n = self:q("status", "--json"), 0
    for _, count in pairs(t.json(r.out).jobs) do n = n + count end
    return n
end

-- The lines that jobs wrote with `echo … >>"$WITNESS"`, in their order.
function Project:witnessed()
    local lines = {}
    if not t.exists(self.witness) then return lines end
    for line in t.read_file(self.witness):gmatch("[^\n]+") do lines[#lines + 1] = line end
    return lines
end

-- The events of `run --json` as tables; each line must be JSON.
function project.events(text)
    local events = {}
    for line in text:gmatch("([^\n]*)\n") do events[#events + 1] = t.json(line) end
    return events
end

-- Lines of a text with their number of terminal columns, for text without wide characters.
function project.lines(text)
    local lines = {}
    for line in text:gmatch("([^\n]*)\n?") do lines[#lines + 1] = line end
    if lines[#lines] == "" then lines[#lines] = nil end
    return lines
end

function project.columns(line)
    return select(2, line:gsub("[^\128-\191]", ""))
end

return project
