-- Runs as a list and one by one, and what a jobs file says of itself. The program's own C functions
-- are not here: those few that the views ask for are stood in for.

local cjson = require "cjson"
local t = require "support"

local NOW = 1000000

package.loaded["queuectl.core"] = {
    time = function() return NOW end,
    json_string = function(bytes) return (cjson.encode(bytes):gsub("\\/", "/")) end,
}

local params = require "queuectl.view.params"
local runs = require "queuectl.view.runs"
local text = require "queuectl.view.text"

local function paper(opts)
    local parts, ctx = {}, opts or {}
    ctx.columns, ctx.options = ctx.columns or 80, { output = ctx.output }
    function ctx.print(_, words) parts[#parts + 1] = words end
    function ctx.style(_, _, words) return words end
    function ctx.text() return table.concat(parts) end
    return ctx
end

local function listed(list, opts)
    local ctx = paper(opts)
    runs.table(ctx, list)
    return ctx.text()
end

local LIST = {
    { id = 12, path = "/srv/nightly/jobs.lua", state = "running", jobs = 10000, left = 5790,
      failed = 3, cancelled = true, started_at = NOW - 65 },
    { id = 11, path = "/srv/a/rather/long/way/down/to/the/folder/of/図面/jobs.lua", state = "ok",
      jobs = 4, left = 0, failed = 0, started_at = NOW - 90000,
      finished_at = NOW - 89988, worker = 0 },
}

describe("runs", function()
    it("are a table on a terminal", function()
        local shown = listed(LIST, { tty = true })
        local lines = {}
        for line in shown:gmatch("[^\n]+") do
            lines[#lines + 1] = line
            assert(text.width(line) <= 80, line)
        end
        assert.matches("^RUN  STATE    STARTED +TOOK +DONE +FILE$", lines[1])
        assert.matches("^12   running  .-1m 05s +4,210/10,000, 3 failed  …?[%w/]*jobs%.lua$",
                       lines[2])
        assert.matches("^11   ok  .-12 s +4/4 +….*jobs%.lua$", lines[3])
    end)

    it("are JSON on a pipe, JSON lines or ids where asked for", function()
        local got = t.json(listed(LIST))
        assert.same({ 12, "running", 10000, 5790, 65 },
            { got[1].run, got[1].state, got[1].jobs, got[1].left, got[1].seconds })
        assert.equal("/srv/nightly/jobs.lua", got[1].file)
        assert.equal(cjson.null, got[1].finished_at)
        assert.equal(12, got[2].seconds)
        local rows = listed(LIST, { output = "jsonl" })
        assert.equal(11, t.json(rows:match("\n(.-)\n$")).run)
        assert.equal("12\n11\n", listed(LIST, { output = "id" }))
        assert.equal("[]\n", listed {})
        assert.matches("No run yet", listed({}, { tty = true }))
    end)

    local FACTS = {
        counts = { completed = 2, dead = 1, skipped = 2 }, work = 3.5, jobs = {
            { id = "j1", label = "a", name = "a", state = "dead", error = "exit 3: no\nmore",
              attempts = 2 } },
        skipped = { { cause = "needs 'a', which is dead", jobs = { {}, {} } } },
        path = { seconds = 3, jobs = {} }, slowest = {}, flaky = {}, artifacts = {},
        params = { target = "prod", shards = 2 },
    }

    local function shown(run, opts)
        local ctx = paper(opts)
        runs.show(ctx, run, FACTS)
        return ctx.text()
    end

    it("say what became of one, and what to do", function()
        local run = { id = 7, path = "/srv/jobs.lua", state = "interrupted", jobs = 8, left = 3,
            failed = 1, started_at = NOW - 9 }
        local got = shown(run, { tty = true })
        for _, line in ipairs { "run          7", "state        interrupted", "took         9.00 s",
            "parameters   shards=2  target=prod", "jobs         2 completed, 1 dead, 2 skipped",
            "skipped      2 jobs: needs 'a', which is dead",
            "dead         a: exit 3: no  (queuectl logs j1)",
            "go on with: queuectl run --resume /srv/jobs.lua" } do
            assert(("\n" .. got):find("\n" .. line .. "\n", 1, true), line .. " is not in\n" .. got)
        end
        run.left, run.state = 0, "failed"
        assert.matches("see what failed: queuectl list %-%-run 7 %-%-state dead\n$",
            shown(run, { tty = true }))
    end)

    it("are one object on a pipe", function()
        local got = t.json(shown({ id = 7, path = "/x", state = "ok", jobs = 3, left = 0,
            failed = 0, started_at = NOW - 9, finished_at = NOW }))
        assert.same({ 7, 3, 2, 9, "prod", 3 }, { got.run, got.jobs, got.counts.completed,
            got.seconds, got.params.target, got.critical_path.seconds })
    end)
end)

describe("the help of a jobs file", function()
    local PLAN = { path = "/srv/jobs.lua", params = {
        { name = "target", type = "string", default = "staging", choices = { "staging", "prod" },
          desc = "where to" },
        { name = "shards", type = "integer", required = true },
        { name = "note", type = "string", default = "" },
    }, jobs = {
        { name = "build", desc = "compile it", needs = {} },
        { name = "deploy", needs = { { job = 1, on = "success" } } },
    } }

    local function help(plan, opts)
        local ctx = paper(opts)
        params.print(ctx, plan, "jobs.lua")
        return ctx.text()
    end

    it("names parameters and jobs", function()
        assert.equal([[
Usage: queuectl run jobs.lua [-p NAME=VALUE …] [OPTION …]

Parameters:
  -p target=string   one of staging|prod, default staging  where to
  -p shards=integer  required
  -p note=string     default ""

Its 2 jobs:
  build   -        compile it
  deploy  needs 1

Options of run itself: queuectl help run
]], (help(PLAN, { tty = true })))
    end)

    it("says when there are none, and folds many jobs", function()
        local jobs = {}
        for i = 1, 5000 do jobs[i] = { name = "resize-" .. i, needs = {}, desc = "one size" } end
        local got = help({ path = "/x", jobs = jobs })
        assert.matches("^Usage: queuectl run jobs.lua %[OPTION …%]\n\nIt takes no parameters.\n",
                       got)
        assert.matches("\nIts 5,000 jobs:\n  resize%-… ×5000  %-  one size\n", got)
    end)

    it("is JSON for programs", function()
        local got = t.json(help(PLAN, { json = true }))
        assert.same({ "target", "staging", "prod", true }, { got.params[1].name,
            got.params[1].default, got.params[1].choices[2], got.params[2].required })
        assert.same({ "deploy", 1 }, { got.jobs[2].name, got.jobs[2].needs })
    end)
end)
