-- The storage interface for specs: the C structures, kept true by store.drift(), and a handle that
-- speaks plain Lua. Operations that may fail raise { code, text }; see store.failure.

local ffi = require "ffi"
local t = require "support"
local cdefs = require "support.store_cdefs"

local values = require "support.store_values"

local core, C = values.core, ffi.C
local plain, record, bytes = values.plain, values.record, values.bytes

local store = { core = core, cdefs = cdefs, wall_ms = values.wall_ms, states = values.states,
                causes = values.causes, kinds = values.kinds, ons = values.ons }

store.CREATE, store.WAIT = C.STORE_CREATE, C.STORE_WAIT
store.HEAD, store.TAIL = C.OUTPUT_HEAD, C.OUTPUT_TAIL

---- failures

local Failure = {}
Failure.__index = Failure
Failure.__tostring = function(e) return ("error %d: %s"):format(e.code, e.text) end

local function check(rc, err)
    if rc >= 0 then return rc end
    error(setmetatable({ code = tonumber(err.code), text = ffi.string(err.text) }, Failure), 0)
end

-- What fn raises, which must be a failed operation: { code, text }.
function store.failure(fn, ...)
    local ok, e = pcall(fn, ...)
    if ok then error("should have failed", 2) end
    if getmetatable(e) ~= Failure then error(e, 0) end
    return e
end

---- values from C

-- A job as a table, with the C structure (owned) as .c.
local function as_job(raw)
    local c = ffi.gc(ffi.new("struct job", raw), core.job_free)
    local job = record(c, cdefs.fields["struct job"])
    job.c = c
    return job
end

---- values for C

-- "a", { later = 1, key = "k" } …: a packed list. In env give name = "X" with later or value.
function store.pack(entries)
    local parts = {}
    for _, e in ipairs(entries) do
        local text
        if type(e) == "string" then text = "=" .. e
        elseif e.unset then text = "-" .. e.unset
        else text = ("@%d:%s%s"):format(e.later, e.key, e.name and "=" .. e.name or "") end
        parts[#parts + 1] = text .. "\0"
    end
    return table.concat(parts)
end

local TEXTS = { "id", "name", "group", "cwd", "stdin_path", "backoff", "description", "tags",
                "meta", "limits", "source" }
local NUMBERS = { priority = 0, retries = 3, timeout_ms = 0, kill_after_ms = 10000, delay_ms = 0,
                  start_at = 0, max_age_ms = 0, done_as = 0 }

local function set_needs(c, spec, keep)
    local needs = ffi.new("struct job_need[?]", #spec.needs)
    for i, need in ipairs(spec.needs) do
        if type(need) == "number" then need = { need } end
        needs[i - 1].by_seq = need.seq ~= nil
        needs[i - 1].parent = need.seq or need[1] - 1
        needs[i - 1].on = store.ons[need.on or "success"]
    end
    keep[#keep + 1] = needs
    c.needs, c.needs_len = needs, #spec.needs
end

-- needs: { 1, { 2, on = "done" }, { seq = 7 } }; indexes count from 1. env, argv, outputs: lists
-- for store.pack (there, later counts from 0 as in C).
local function fill_spec(c, spec, keep)
    local kind = spec.argv and "argv" or spec.kind or "shell"
    local command = spec.argv and store.pack(spec.argv) or spec.command
    if not command and kind == "shell" then command = "true" end
    local env = spec.env and store.pack(spec.env)
    local outputs = spec.outputs and store.pack(spec.outputs)
    local artifacts = spec.artifacts and store.pack(spec.artifacts)
    for _, text in ipairs { command or "", env or "", outputs or "", artifacts or "" } do
        keep[#keep + 1] = text
    end
    for _, name in ipairs(TEXTS) do c[name] = spec[name] end
    for name, value in pairs(NUMBERS) do c[name] = spec[name] or value end
    c.queue, c.kind = spec.queue or "default", store.kinds[kind]
    c.command, c.env, c.outputs = bytes(command), bytes(env), bytes(outputs)
    c.stdin_text, c.ok_codes = bytes(spec.stdin), bytes(spec.ok_codes)
    c.artifacts = bytes(artifacts)
    c.allow_failure, c.when = spec.allow_failure or false, spec.when or false
    c.fail_fast = spec.fail_fast or false
    if spec.needs then set_needs(c, spec, keep) end
end

---- the handle

local Store = {}
Store.__index = Store

-- Opens a store; flags default to CREATE + WAIT.
function store.open(url, flags)
    local out, err = ffi.new("struct store *[1]"), ffi.new("struct err")
    check(core.store_open(url, flags or store.CREATE + store.WAIT, out, err), err)
    return setmetatable({ s = out[0], ops = out[0].ops, err = err, url = url }, Store)
end

function Store:close()
    if self.s then self.ops.close(self.s) end
    self.s = nil
end

function Store:begin() check(self.ops.begin(self.s, self.err), self.err) end
function Store:commit() check(self.ops.commit(self.s, self.err), self.err) end
function Store:rollback() self.ops.rollback(self.s) end

-- Runs fn in a transaction, rolled back when it raises; its results.
function Store:tx(fn)
    self:begin()
    self.inside = true
    local ok, a, b, c = pcall(fn)
    self.inside = false
    if not ok then
        self:rollback()
        error(a, 0)
    end
    self:commit()
    return a, b, c
end

-- The operation with the arguments, in a transaction of its own unless one is open.
function Store:write(name, ...)
    if self.inside then return check(self.ops[name](self.s, ...), self.err) end
    local n, args = select("#", ...), { ... }
    return self:tx(function()
        return check(self.ops[name](self.s, unpack(args, 1, n)), self.err)
    end)
end

function Store:read(name, ...)
    return check(self.ops[name](self.s, ...), self.err)
end

-- A list of specs: what became of each, as a list. `run`: of a run.
function Store:enqueue_all(specs, run)
    local n, keep = #specs, {}
    local c, out = ffi.new("struct job_spec[?]", n + 1), ffi.new("struct enqueued[?]", n + 1)
    for i, spec in ipairs(specs) do fill_spec(c[i - 1], spec, keep) end
    self:write("enqueue", run or 0, c, n, out, self.err)
    local done = {}
    for i = 1, n do
        local e = out[i - 1]
        done[i] = { seq = tonumber(e.seq), existed = e.existed, id = ffi.string(e.id),
                    state = store.states[tonumber(e.state)], run_at = tonumber(e.run_at) }
    end
    return done, keep
end

function Store:enqueue(spec) return self:enqueue_all({ spec or {} })[1] end

-- n jobs like spec; their seqs.
function Store:enqueue_many(n, spec)
    local specs, seqs = {}, {}
    for i = 1, n do specs[i] = spec or {} end
    for i, e in ipairs(self:enqueue_all(specs)) do seqs[i] = e.seq end
    return seqs
end

-- By seq or id; nil if there is none.
function Store:get(key)
    local out = ffi.new("struct job")
    local by_id = type(key) == "string"
    local found = self:read("get", by_id and key or nil, by_id and 0 or key, out, self.err)
    return found == 1 and as_job(out) or nil
end

function Store:state(key)
    local job = self:get(key)
    return job and job.state
end

-- opts: worker, max, lane, now, busy. A list of jobs, and whether one must run alone.
function Store:claim(opts)
    opts = opts or {}
    local max = opts.max or 1
    local q = ffi.new("struct claim_query", {
        lane = opts.lane or 0, worker = opts.worker or 1, now = opts.now or store.wall_ms(),
        max = max, idle = not opts.busy })
    local out, n = ffi.new("struct job[?]", max), ffi.new("size_t[1]")
    local alone = ffi.new("bool[1]")
    self:write("claim", q, out, n, alone, self.err)
    local jobs = {}
    for i = 1, tonumber(n[0]) do jobs[i] = as_job(out[i - 1]) end
    return jobs, alone[0]
end

function Store:claim_one(opts)
    return self:claim(opts)[1]
end

-- The number of times promote had to be called does not matter: next due time, or 0.
function Store:promote(now, lane)
    local due = ffi.new("int64_t[1]")
    self:write("promote", lane or 0, now or store.wall_ms(), due, self.err)
    return tonumber(due[0])
end

local function outcome(opts)
    local o = ffi.new("struct outcome", {
        cause = store.causes[opts.cause or "exit"], exit_code = opts.exit_code or 0,
        signal = opts.signal or -1, started_at = opts.started_at or 0,
        finished_at = opts.finished_at or 0, duration_ms = opts.duration_ms or 0,
        cpu_ms = opts.cpu_ms or 0, max_rss_kb = opts.max_rss_kb or 0,
        output_total = opts.output_total or 0, incomplete = opts.incomplete or false })
    o.error, o.report, o.report_note = opts.error, bytes(opts.report), opts.report_note
    return o
end
store.outcome = outcome

-- opts: cause, exit_code, error … of the outcome; state, delay_ms, keep_try of the decision, which
-- without a state is the built-in one (snooze_ms, random). 1 done, 0 stale; and what became of it.
function Store:finish(job, opts)
    opts = opts or {}
    local o = outcome(opts)
    local d
    if opts.state then
        d = ffi.new("struct decision", { state = store.states[opts.state],
                                         delay_ms = opts.delay_ms or 0,
                                         keep_try = opts.keep_try or false })
    else
        d = ffi.new("struct decision[1]", core.decide(job.c, o, opts.snooze_ms or 0,
                                                      store.wall_ms(), opts.random or 0))[0]
    end
    local rc = self:write("finish", job.c, o, d, self.err)
    return rc, store.states[tonumber(d.state)]
end

-- Claims the next job, which must be the one of `seq` if given, and finishes it.
function Store:work(opts, seq)
    local job = self:claim_one { lane = opts and opts.lane, worker = opts and opts.worker }
    if seq and (not job or job.seq ~= seq) then
        error(("claimed %s, not %d"):format(job and job.seq, seq), 2)
    end
    if job then self:finish(job, opts) end
    return job
end

function Store:cancel(id)
    local after = ffi.new("enum job_state[1]")
    local rc = self:write("cancel", id, after, self.err)
    return rc == 1 and store.states[tonumber(after[0])] or nil
end

-- The state before; nil if there is no such job.
function Store:retry(id, again)
    local before = ffi.new("enum job_state[1]")
    local rc = self:write("retry", id, again or false, before, self.err)
    return rc == 1 and store.states[tonumber(before[0])] or nil
end

function Store:counts()
    local raw, counts = ffi.new("int64_t[?]", C.JOB_STATES), {}
    self:read("counts", raw, self.err)
    for i = 0, C.JOB_STATES - 1 do counts[store.states[i]] = tonumber(raw[i]) end
    return counts
end

-- q: state, run, after, limit. The jobs and the cursor of the next page (nil at the end).
function Store:list(q)
    local limit = q.limit or 200
    local query = ffi.new("struct list_query", { state = q.state and store.states[q.state] or -1,
                                                 run = q.run or 0, limit = limit })
    if q.after then query.after = q.after end
    local out, n = ffi.new("struct job[?]", limit), ffi.new("size_t[1]")
    local next_page = ffi.new("struct list_cursor")
    self:read("list", query, out, n, next_page, self.err)
    local jobs = {}
    for i = 1, tonumber(n[0]) do jobs[i] = as_job(out[i - 1]) end
    return jobs, next_page.part ~= 0 and next_page or nil
end

-- The seqs of all pages; between(page) runs between them.
function Store:list_seqs(q, between)
    local seqs, pages, page, cursor = {}, 0
    repeat
        page, cursor = self:list { state = q.state, run = q.run, limit = q.limit, after = cursor }
        for _, job in ipairs(page) do seqs[#seqs + 1] = job.seq end
        pages = pages + 1
        if pages > 10000 then error "a list without an end" end
        if between then between(page) end
    until not cursor
    return seqs
end

local OUTCOME = { "started_at", "finished_at", "duration_ms", "cause", "exit_code", "signal",
                  "cpu_ms", "max_rss_kb", "output_total", "incomplete" }

function Store:attempts(seq)
    local out, n = ffi.new("struct attempt *[1]"), ffi.new("size_t[1]")
    self:read("attempts", seq, out, n, self.err)
    local list = {}
    for i = 1, tonumber(n[0]) do
        local a = out[0][i - 1]
        list[i] = record(a.outcome, OUTCOME)
        list[i].token, list[i].try_no = tonumber(a.token), a.try_no
        list[i].error, list[i].worker_name = plain(a.error), plain(a.worker_name)
        list[i].report_note = plain(a.report_note)
        list[i].report = a.report.len > 0 and ffi.string(a.report.data, a.report.len) or nil
        core.attempt_free(a)
    end
    C.free(out[0])
    return list
end

-- chunks: list of { offset, data, stream, at }.
function Store:output_add(job, chunks, total)
    local c = ffi.new("struct chunk[?]", math.max(1, #chunks))
    for i, chunk in ipairs(chunks) do
        c[i - 1] = { offset = chunk.offset, stream = chunk.stream or 1, at = chunk.at or 0,
                     data = bytes(chunk.data) }
    end
    return self:write("output_add", job.c, c, #chunks, total, self.err)
end

function Store:output_chunks(seq, token)
    local chunk, list = ffi.new("struct chunk"), {}
    while self:read("output_next", seq, token, chunk, self.err) == 1 do
        local data = ffi.string(chunk.data.data, chunk.data.len)
        C.free(ffi.cast("void *", chunk.data.data))
        list[#list + 1] = { offset = tonumber(chunk.offset), stream = chunk.stream,
                            at = tonumber(chunk.at), data = data }
        chunk.offset = chunk.offset + chunk.data.len
    end
    return list
end

-- By the rule for readers: the first HEAD bytes, and those at total - TAIL or later.
function Store:output(seq, token, total)
    local parts, from = {}, math.max(store.HEAD, total - store.TAIL)
    for _, c in ipairs(self:output_chunks(seq, token)) do
        parts[#parts + 1] = c.data:sub(1, math.max(0, store.HEAD - c.offset))
        local skip = math.max(from - c.offset, store.HEAD - c.offset, 0)
        parts[#parts + 1] = c.data:sub(skip + 1)
    end
    return table.concat(parts)
end

function Store:value_set(seq, key, value)
    return self:write("value_set", seq, key, bytes(value), self.err)
end

-- The packed list that an operation gives, as texts without their first byte.
function Store:entries(name, key)
    local buf, pos, list = ffi.new("struct buf"), ffi.new("size_t[1]"), {}
    self:read(name, key, buf, self.err)
    while true do
        local entry = core.pack_next(buf.data, buf.len, pos)
        if entry == nil then break end
        list[#list + 1] = ffi.string(entry):match "^=(.*)$"
    end
    core.buf_free(buf)
    return list
end

function Store:values(seq)
    local found = {}
    for _, entry in ipairs(self:entries("values", seq)) do
        local key, value = entry:match("^(.-)=(.*)$")
        found[key] = value
    end
    return found
end

function Store:artifact_set(seq, path, size)
    return self:write("artifact_set", seq, path, size, self.err)
end

-- { "SIZE PATH", … }
function Store:artifacts(seq) return self:entries("artifacts", seq) end

-- { "need=NAME", "state=WORD", … }
function Store:needs(seq) return self:entries("needs", seq) end

-- 1 done, 0 no such job.
function Store:redefine(id, spec)
    local c, keep = ffi.new("struct job_spec[1]"), {}
    fill_spec(c[0], spec, keep)
    return self:write("redefine", id, c, self.err), keep
end

---- the rest

function Store:ring() self.ops.ring(self.s) end
function Store:notify_fd() return self.ops.notify_fd(self.s) end
function Store:notify_drain() return self.ops.notify_drain(self.s) end
function Store:changed() return self.ops.changed(self.s) == 1 end
function Store:checkpoint(min) self.ops.checkpoint(self.s, min or 0) end
function Store:side_dir() return ffi.string(self.ops.side_dir(self.s)) end

-- Jobs by state, counted one by one, and the counters: they must always be the same.
function Store:tally()
    local counts = {}
    for i = 0, C.JOB_STATES - 1 do counts[store.states[i]] = 0 end
    local page, cursor
    repeat
        page, cursor = self:list { limit = 1000, after = cursor }
        for _, job in ipairs(page) do counts[job.state] = counts[job.state] + 1 end
    until not cursor
    return counts
end

---- other processes

-- Starts spec/store/child.lua, in the sanitizer's runtime if the library needs it.
function store.child(...)
    local env = { QUEUECTL_BUILD = t.build, LD_PRELOAD = false }
    local cache = io.open(t.build .. "/CMakeCache.txt")
    if cache and cache:read("*a"):find("SANITIZE:BOOL=ON", 1, true) then
        env.LD_PRELOAD = t.run({ "gcc", "-print-file-name=libasan.so" }).out:match("%S+")
        env.ASAN_OPTIONS = (os.getenv("SPEC_ASAN_OPTIONS") or "") .. ":detect_leaks=0"
    end
    if cache then cache:close() end
    return t.spawn({ "/usr/bin/luajit", "spec/store/child.lua", ... },
                   { env = env, cwd = t.root, stdin = true })
end

-- Waits until it has printed this line.
function store.wait_line(child, line)
    t.eventually(function()
        return ("\n" .. child:out()):find("\n" .. line .. "\n", 1, true)
    end, 20, line .. " of " .. child:describe())
end

for name, method in pairs(require "support.store_runs") do Store[name] = method end
store.backends = require "support.store_backends" (store.open)

return store
