-- The worker process of a run: started, listened to, and replaced if it is killed.

local core = require "queuectl.core"

local work = {}

-- A worker process that was killed is replaced, but not for ever.
local WORKERS_MAX = 100

local function start_worker(path, run, slots)
    return core.start { "worker", "start", "--store", path, "--run", tostring(run.id),
        "--events", "--count", tostring(slots) }
end

-- Listens until the worker ends. Returns its exit code and signal.
local function listen(child, view, interrupts)
    while true do
        local what, value = child:poll(0.1)
        if what == "data" then
            view:feed(value)
        elseif what == "signal" then
            interrupts.count, interrupts.last = interrupts.count + 1, value
            child:signal(value)
        elseif what == "end" then
            return child:wait()
        end
        view:tick()
    end
end

--- Works the run until all its jobs are over or somebody interrupts. Returns { count =, last = },
-- the signals that came, with `code` if the worker could not work and has said why; or nil,
-- message, exit code.
function work.run(ctx, path, run, slots, view)
    local interrupts = { count = 0 }
    core.catch_signals()
    for _ = 1, WORKERS_MAX do
        local child, message, code = start_worker(path, run, slots)
        if not child then return nil, message, code end
        local exit_code, signal = listen(child, view, interrupts)
        if exit_code == 0 then return interrupts end
        if exit_code then
            interrupts.code = exit_code
            return interrupts
        end
        if interrupts.count > 0 then return interrupts end
        ctx:note(("the worker process was killed by signal %d; another takes over"):format(signal))
        view:worker_lost()
    end
    return nil, ("%d worker processes in a row were killed; given up"):format(WORKERS_MAX)
end

return work
