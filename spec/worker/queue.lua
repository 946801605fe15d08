-- What the specs of the worker share: a store of its own with jobs in it, and workers beside it.

local t = require "support"

local Queue = {}
Queue.__index = Queue

local marks = 0

function Queue.new()
    local dir = t.tmpdir()
    return setmetatable({ dir = dir, store = dir .. "/queue.db" }, Queue)
end

function Queue:path(name)
    return self.dir .. "/" .. name
end

-- The text of a file that jobs write; "" while it is not there.
function Queue:read(name)
    return t.exists(self:path(name)) and t.read_file(self:path(name)) or ""
end

function Queue:lines(name)
    local lines = {}
    for line in self:read(name):gmatch("[^\n]+") do lines[#lines + 1] = line end
    return lines
end

-- An executable file; returns its path.
function Queue:script(name, text)
    local path = t.write_file(self:path(name), text)
    assert(t.run({ "chmod", "+x", path }).code == 0)
    return path
end

-- queuectl with this store; must succeed. The last argument may be the options of t.run.
function Queue:q(...)
    local got = t.q(self.store, ...)
    if got.code ~= 0 then
        error(("exit %s: %s"):format(got.code or "signal " .. got.signal, got.err), 2)
    end
    return got
end

-- Enqueues shell text (or, as a table, a program with its arguments) with options; the id.
-- Jobs run in the directory of the queue.
function Queue:enqueue(command, ...)
    local args = { "enqueue", "--cwd", self.dir, ... }
    if type(command) == "table" then
        args[#args + 1] = "--"
        for _, word in ipairs(command) do args[#args + 1] = word end
    else
        args[#args + 1] = command
    end
    return (self:q(unpack(args)).out:gsub("\n$", ""))
end

-- Many jobs at once, a line each; their ids.
function Queue:enqueue_lines(lines, ...)
    local args = { "enqueue", "--cwd", self.dir, "-f", "-", ... }
    args[#args + 1] = { stdin = table.concat(lines, "\n") .. "\n", timeout = 60 }
    local ids = {}
    for id in self:q(unpack(args)).out:gmatch("[^\n]+") do ids[#ids + 1] = id end
    assert(#ids == #lines)
    return ids
end

local function worker_argv(self, ...)
    return { t.binary, "--store", self.store, "worker", "start", ... }
end

-- Starts a worker that stays; the last argument may be the options of t.spawn.
function Queue:worker(...)
    local argv, opts = worker_argv(self, ...), nil
    if type(argv[#argv]) == "table" then opts = table.remove(argv) end
    local worker = t.spawn(argv, opts)
    t.eventually(function() return worker:err():find("event=started", 1, true) end, 20,
                 "worker started")
    return worker
end

-- Works until nothing is left, which must go well.
function Queue:work(...)
    local argv, opts = worker_argv(self, "--until-empty", ...), { timeout = 60 }
    if type(argv[#argv]) == "table" then opts = table.remove(argv) end
    local got = t.run(argv, opts)
    if got.code ~= 0 then
        error(("worker: exit %s: %s"):format(got.code or "signal " .. got.signal, got.err), 2)
    end
    return got
end

function Queue:job(id)
    return t.json(self:q("show", "--json", id).out)
end

-- All jobs as JSON lists them, by name or else by id.
function Queue:jobs(...)
    local jobs = {}
    for _, job in ipairs(t.json(self:q("list", "--json", ...).out)) do
        jobs[job.name or job.id] = job
    end
    return jobs
end

-- Waits until the job is in the state; the job.
function Queue:wait(id, state, timeout_s)
    return t.eventually(function()
        local job = self:job(id)
        assert(job.state == state, job.state)
        return job
    end, timeout_s or 20, ("job %s %s"):format(id, state))
end

function Queue:logs(id, ...)
    return self:q("logs", id, ...).out
end

-- Enqueues, works, and gives the job as it came out.
function Queue:do_job(command, ...)
    local id = self:enqueue(command, ...)
    self:work()
    return self:job(id)
end

local function run_argv(self, text, ...)
    local file = t.write_file(self:path("jobs.lua"), text)
    return { t.binary, "--store", self.store, "run", file, ... }
end

-- Runs the text as jobs.lua to its end, whatever that is.
function Queue:run(text, options)
    local argv = run_argv(self, text, "-j", options and options.slots or "8")
    return t.run(argv, { timeout = 60, cwd = self.dir })
end

-- The job of this name, with its history.
function Queue:named(name)
    local job = self:jobs()[name]
    if not job then error("no job " .. name, 2) end
    return self:job(job.id)
end

-- A variable that no other process has, as --env takes it: t.processes finds who was given it.
function Queue.mark()
    marks = marks + 1
    return ("SPEC_MARK=m%d-%d-m"):format(math.floor(t.wall() * 1000), marks)
end

-- Waits until none of the processes is left.
function Queue.gone(mark, timeout_s)
    return t.eventually(function() return #t.processes(mark) == 0 end, timeout_s or 2,
                        "no process of " .. mark)
end

-- The guardian of a worker: its only child.
function Queue.guardian(worker)
    return t.eventually(function()
        local pid = worker:pid()
        return tonumber(t.read_file(("/proc/%d/task/%d/children"):format(pid, pid)):match("%d+"))
    end, 5, "guardian")
end

-- Shell text that stays until the file is there, at most about 30 s.
function Queue.until_file(name)
    return ("i=0; while [ ! -e %s ] && [ $i -lt 1500 ]; do sleep 0.02; i=$((i+1)); done"):format(
        name)
end

return Queue
