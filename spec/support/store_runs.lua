-- The part of the store's handle that is about runs, their sources and workers.

local ffi = require "ffi"
local values = require "support.store_values"

local core, cdefs, C = values.core, values.cdefs, ffi.C
local bytes, record, plain = values.bytes, values.record, values.plain

local Store = {} -- copied into the handle's methods

-- opts: fail_fast, detached, info.
function Store:run_create(path, hash, text, opts)
    local id = ffi.new("int64_t[1]")
    text, opts = text or "job {}", opts or {}
    local spec = ffi.new("struct run_spec", { path = path or "/jobs.lua", hash = hash or "hash",
                                              text = bytes(text), info = opts.info,
                                              fail_fast = opts.fail_fast or false,
                                              detached = opts.detached or false })
    self:write("run_create", spec, id, self.err)
    return tonumber(id[0])
end

function Store:run_attach(run, worker) return self:write("run_attach", run, worker, self.err) end

function Store:run(id, path)
    local out = ffi.new("struct run")
    if self:read("run_get", id or 0, path, out, self.err) ~= 1 then return nil end
    local run = record(out, cdefs.fields["struct run"])
    core.run_free(out)
    return run
end

-- A page, newest first, and the cursor of the next one (nil at the end). q: path, after, limit.
function Store:runs(q)
    local limit, list = q.limit or 100, {}
    local query = ffi.new("struct run_query", { path = q.path, after = q.after or 0,
                                                limit = limit })
    local out, n = ffi.new("struct run[?]", limit), ffi.new("size_t[1]")
    local cursor = ffi.new("int64_t[1]")
    self:read("runs", query, out, n, cursor, self.err)
    for i = 1, tonumber(n[0]) do
        list[i] = record(out[i - 1], cdefs.fields["struct run"])
        core.run_free(out + (i - 1))
    end
    return list, cursor[0] ~= 0 and tonumber(cursor[0]) or nil
end

-- How many jobs are not final, and whether the run is halted.
function Store:run_left(id)
    local left, halted = ffi.new("int64_t[1]"), ffi.new("bool[1]")
    self:read("run_left", id, left, halted, self.err)
    return tonumber(left[0]), halted[0]
end

-- How many jobs may run again; nil if there is no such run.
function Store:revive(run)
    local n = ffi.new("size_t[1]")
    return self:write("revive", run, n, self.err) == 1 and tonumber(n[0]) or nil
end

function Store:move_run(run, detached)
    return self:write("move_run", run, detached, self.err)
end

-- How many were cancelled, and how many are running still; nil if there is no such run.
function Store:cancel_run(run)
    local n, running = ffi.new("size_t[1]"), ffi.new("size_t[1]")
    if self:write("cancel_run", run, n, running, self.err) ~= 1 then return nil end
    return tonumber(n[0]), tonumber(running[0])
end

-- { NAME = milliseconds }
function Store:run_times(run)
    local times = {}
    for _, entry in ipairs(self:entries("run_times", run)) do
        local ms, name = entry:match "^(%d+) (.*)$"
        times[name] = tonumber(ms)
    end
    return times
end

function Store:source_add(hash, text)
    return self:write("source_add", hash, bytes(text), self.err)
end

function Store:source(hash)
    local buf = ffi.new("struct buf")
    local found = self:read("source", hash, buf, self.err) == 1
    local text = found and (plain(buf) or "") or nil
    core.buf_free(buf)
    return text
end

local uids = 0

function Store:worker_add(w)
    w = w or {}
    uids = uids + 1
    local id = ffi.new("int64_t[1]")
    local uid = w.uid or ("%032x"):format(uids)
    local spec = ffi.new("struct worker_spec", {
        uid = uid, name = w.name or "w", host = w.host or "here",
        boot_id = w.boot_id or "boot", pid = w.pid or 1, pid_ns = w.pid_ns or 2,
        slots = w.slots or 1, lane = w.lane or 0 })
    self:write("worker_add", spec, id, self.err)
    return tonumber(id[0])
end

function Store:worker_beat(id) return self:write("worker_beat", id, self.err) end
function Store:worker_stop(id, how) return self:write("worker_stop", id, how, self.err) end

function Store:workers()
    local out, n = ffi.new("struct worker_info *[1]"), ffi.new("size_t[1]")
    self:read("workers", out, n, self.err)
    local list = {}
    for i = 1, tonumber(n[0]) do
        list[i] = record(out[0][i - 1], cdefs.fields["struct worker_info"])
        core.worker_info_free(out[0] + (i - 1))
    end
    C.free(out[0])
    return list
end

function Store:worker(id)
    for _, w in ipairs(self:workers()) do
        if w.id == id then return w end
    end
end

function Store:orders(worker, max)
    max = max or 16
    local seqs = ffi.new("int64_t[?]", max)
    local orders = ffi.new("struct orders", { cancel = seqs, max = max })
    self:read("orders", worker, orders, self.err)
    local cancel = {}
    for i = 1, tonumber(orders.n) do cancel[i] = tonumber(seqs[i - 1]) end
    return { stop = tonumber(orders.stop), cancel = cancel }
end

-- How many jobs went back.
function Store:recover(worker, now)
    local n = ffi.new("size_t[1]")
    self:write("recover", worker, now or values.wall_ms(), n, self.err)
    return tonumber(n[0])
end

function Store:has_work(lane) return self:read("has_work", lane or 0, self.err) == 1 end

return Store
