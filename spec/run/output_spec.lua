-- What `run` prints: lines on a pipe, JSON for programs, and nothing that is lost on the way.

local t = require "support"
local project = require "run.project"

local MIXED = [[
    job "a" { run = "true" }
    job "b" { run = "echo oops >&2; exit 3", retries = 1, backoff = { "10ms" } }
    job "c" { needs = "b", run = "true" }
    job "d" { needs = "a", run = function(_, ctx) ctx.progress(1, "all of it") end }
]]

describe("run on a pipe", function()
    it("prints one line an event, then how it ended and what to type", function()
        local p = project.new(MIXED)
        local r = p:run(1, "-j", "1")
        local id = p:jobs().b.id
        local shown = r.out:gsub("%d+%.%d+ s%)", "N s)"):gsub(" in %d+%.%d+ s\n", " in N s\n")
        assert.equal(([[
started a
completed a (N s)
started b
failed b (exit 3: oops, again in N s)
started d
completed d (N s)
started b (attempt 2 of 2)
dead b (exit 3: oops, after 2 attempts)
skipped   c (needs 'b', which is dead)

dead b
    exit 3: oops
  see it all: queuectl logs %s

2 completed, 1 dead, 1 skipped in N s
try again what failed: queuectl run --resume jobs.lua
]]):format(id), shown)
        assert.equal("run 1: 4 jobs on 1 slot\n", r.err)
        assert.equal("oops\n", p:q("logs", id).out)
    end)

    it("has no colour and no cursor movements, whatever TERM says", function()
        local p = project.new(MIXED)
        local r = p:q("run", "jobs.lua")
        assert.is_nil((r.out .. r.err):find("[\27\r]"))
    end)

    it("leaves out remarks with -q", function()
        local p = project.new 'job "a" { run = "true" }'
        assert.equal("", p:run(0, "-q").err)
    end)

    it("makes control characters of jobs harmless", function()
        local p = project.new [[ job "a" { run = "printf '\\033[2Jred\\007' >&2; exit 1",
            retries = 0 } ]]
        local r = p:run(1)
        assert.is_nil(r.out:find("[%z\1-\9\11-\31\127]"))
        assert.matches("\\x1b[2Jred", r.out, 1, true)
    end)

    it("ends quietly when nobody reads any more, and nothing goes on in the background", function()
        local p = project.new [[ for i = 1, 200 do job("j" .. i) { run = "echo x >>$WITNESS",
            env = { MARK = "unread-run" } } end ]]
        local r = t.run({ "sh", "-c", '"$0" run -j 2 jobs.lua | head -n 1', t.binary },
                        { cwd = p.dir, env = { QUEUECTL_STORE = p.store, WITNESS = p.witness } })
        assert.equal("started j1\n", r.out)
        assert.equal("run 1: 200 jobs on ", r.err:match("^run 1: 200 jobs on "))
        t.eventually(function() return #t.processes(p.store) == 0 end, 10, "all ended")
        assert.same({}, t.processes "unread-run")
        -- What is left goes on when asked to; only what was stopped in the middle runs again.
        p:run(0, "--resume", "-j", "2")
        local n = #p:witnessed()
        assert(n >= 200 and n <= 202, n .. " jobs ran")
    end)

    it("says that the answer could not be written", function()
        local p = project.new 'job "a" { run = "true" }'
        local r = t.run({ "sh", "-c", '"$0" run jobs.lua >/dev/full', t.binary },
                        { cwd = p.dir, env = { QUEUECTL_STORE = p.store } })
        assert.equal(1, r.code)
        assert.matches("the answer could not be written", r.err)
    end)
end)

describe("run --json", function()
    local KEYS = { -- of each event, in this order; a ? marks those that may be missing
        run = "event run file jobs left slots",
        started = "event time text",
        skipped = "event time job name seq cause text",
        stopped = "event time",
        picked = "event time job name seq attempt of",
        progress = "event time job name seq attempt of fraction text",
        completed = "event time job name seq attempt of cause exit_code duration started_at left",
        failed = "event time job name seq attempt of cause exit_code duration started_at error "
            .. "delay left?",
        dead = "event time job name seq attempt of cause exit_code duration started_at error left",
        summary = "event run jobs left failed seconds work_seconds critical_path slowest retried",
    }

    local function keys_of(line)
        local keys = {}
        -- Values here have no braces or brackets but those of the summary.
        line = line:gsub('("[%w_]+"):%b{}', "%1:0"):gsub('("[%w_]+"):%b[]', "%1:0")
        for key in line:gmatch('[{,]"([%w_]+)":') do
            keys[#keys + 1] = key
        end
        return table.concat(keys, " ")
    end

    it("prints events with stable keys, one JSON value a line, the summary last", function()
        local p = project.new(MIXED)
        local r = p:run(1, "--json", "-j", "1")
        assert.equal("", r.err)
        local events, seen = project.events(r.out), {}
        for i, line in ipairs(project.lines(r.out)) do
            local what = events[i].event
            local keys = KEYS[what]
            assert.is_string(keys, "no such event: " .. line)
            local short = keys:gsub(" [%w_]+%?", "")
            local got = keys_of(line)
            assert(got == keys:gsub("%?", "") or got == short, line)
            seen[what] = true
        end
        for what in pairs(KEYS) do assert.is_true(seen[what], "missing: " .. what) end
        assert.equal("run", events[1].event)
        local summary = events[#events]
        for _, key in ipairs { "seconds", "work_seconds" } do
            assert.is_number(summary[key])
            summary[key] = nil
        end
        assert.is_true(#summary.critical_path.jobs >= 1)
        assert.equal(4, #summary.slowest + 1)
        summary.critical_path, summary.slowest = nil, nil
        assert.same({ event = "summary", run = 1, left = 0, failed = 2, retried = {}, jobs = {
            completed = 2, dead = 1, skipped = 1, cancelled = 0, failed = 0, pending = 0,
            waiting = 0, processing = 0 } }, summary)
    end)

    it("escapes what is not text", function()
        local p = project.new [[
            job "a" { run = 'printf "\\377\\001\\"" >&2; exit 1', retries = 0 }
        ]]
        local r = p:run(1, "--json")
        assert.is_true(#project.events(r.out) > 3)
    end)

    it("goes without events of other runs", function()
        local p = project.new(MIXED)
        p:q("enqueue", "echo other")
        local r = p:run(1, "--json")
        for _, event in ipairs(project.events(r.out)) do
            assert.is_true(not event.job or event.name ~= nil)
        end
        assert.equal("pending", t.json(p:q("list", "--json", "--state", "pending").out)[1].state)
    end)
end)

describe("the exit code of run", function()
    it("is 0 only if all is well", function()
        local codes = {
            { 0, 'job "a" { run = "true" }' },
            { 1, 'job "a" { run = "false", retries = 0 }\njob "b" { run = "true" }' },
            { 0, 'job "a" { run = "false", retries = 0, allow_failure = true }' },
            { 78, 'job "a" { run = "" }' },
        }
        for _, case in ipairs(codes) do project.new(case[2]):run(case[1]) end
    end)

    it("is 1 when a job was cancelled", function()
        local p = project.new 'job "a" { run = "echo x >>$WITNESS; sleep 1000", kill_after = "1s" }'
        local run = p:spawn("run", "jobs.lua")
        t.eventually(function() return #p:witnessed() == 1 end)
        assert.equal(0, p:q("cancel", p:jobs().a.id).code)
        assert.equal(1, run:wait())
        assert.equal("cancelled", p:states().a)
        assert.matches("cancelled a", run:out())
    end)
end)
