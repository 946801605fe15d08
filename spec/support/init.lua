-- What specs need to drive queuectl from outside: local t = require "support".
-- Programs end with their spec, temporary directories with their file; nothing sleeps.

local ffi = require "ffi"
local cjson = require "cjson"
local sys = require "support.sys"
local process = require "support.process"
local files = require "support.files"

local t = {}

t.root = sys.realpath(".")
t.build = sys.realpath(os.getenv("QUEUECTL_BUILD") or "build") or t.root .. "/build"
t.binary = t.build .. "/queuectl"
files.build = t.build

-- Children find the fresh `queuectl`, and never the sanitizer that busted itself runs with.
sys.setenv("PATH", t.build .. ":" .. os.getenv("PATH"))
sys.setenv("LD_PRELOAD", nil)
sys.setenv("ASAN_OPTIONS", os.getenv("SPEC_ASAN_OPTIONS"))

t.now, t.wall = sys.now, sys.wall
t.pid_alive, t.signals = sys.pid_alive, sys.SIG
t.run, t.spawn, t.processes = process.run, process.spawn, process.find
t.kill = sys.kill
t.read_file, t.write_file, t.exists = files.read_file, files.write_file, files.exists
t.mkdir_p, t.tmpdir = files.mkdir_p, files.tmpdir
t.json = cjson.decode

-- Calls fn until it returns something true and returns that; a raised error counts as "not yet".
-- Raises after timeout_s (default 10) with `what` and the last value or error.
function t.eventually(fn, timeout_s, what)
    timeout_s = timeout_s or 10
    local deadline, pause = sys.now() + timeout_s, 0.001
    local ok, value
    repeat
        ok, value = pcall(fn)
        if ok and value then return value end
        process.pump(pause)
        pause = math.min(pause * 1.5, 0.02)
    until sys.now() > deadline
    error(("not within %g s: %s (last %s: %s)"):format(timeout_s, what or "condition",
          ok and "value" or "error", tostring(value)), 2)
end

function t.store()
    return t.tmpdir() .. "/queue.db"
end

-- queuectl --store STORE ...; a table as the last argument holds the options of t.run.
function t.q(store, ...)
    local argv, opts = { t.binary, "--store", store, ... }, nil
    if type(argv[#argv]) == "table" then opts = table.remove(argv) end
    return t.run(argv, opts)
end

-- Runs SQL with the sqlite3 command line: a list of rows, each a list of strings (NULL is "").
function t.sql(store, sql)
    local got = t.run({ "sqlite3", "-batch", "-bail", "-ascii", "-cmd", ".timeout 10000", store },
                      { stdin = sql })
    if got.code ~= 0 then error("sqlite3: " .. got.err, 2) end
    local rows = {}
    for line in got.out:gmatch("([^\30]*)\30") do
        local row = {}
        for field in (line .. "\31"):gmatch("([^\31]*)\31") do row[#row + 1] = field end
        rows[#rows + 1] = row
    end
    return rows
end

-- The C modules as a library; declare what is called with ffi.cdef first.
function t.core()
    if not t.core_library then
        t.core_library = ffi.load(t.build .. "/libqueuectl-test.so")
    end
    return t.core_library
end

local notes = {}

-- A line that is shown if the current spec fails.
function t.note(text)
    notes[#notes + 1] = text
end

function t.take_notes()
    local taken = notes
    notes = {}
    return taken
end

-- A replayable generator: r(n) is in 1..n, r(a, b) in a..b, r() in [0, 1). A failing spec shows
-- the seed; SEED=n in the environment replays it.
function t.rng(seed)
    seed = tonumber(os.getenv("SEED")) or seed or math.floor(sys.wall() * 1e6) % 2147483647
    t.note("SEED=" .. seed)
    local state = seed % 2147483647
    if state == 0 then state = 1 end
    local function draw() -- minimal standard generator (Park and Miller)
        state = state * 48271 % 2147483647
        return (state - 1) / 2147483646
    end
    return function(a, b)
        if not a then return draw() end
        if not b then a, b = 1, a end
        return a + math.floor(draw() * (b - a + 1))
    end
end

return t
