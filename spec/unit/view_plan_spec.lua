-- How a plan is shown before it runs: as a tree, for Graphviz and Mermaid, as commands to paste,
-- and how long it may take.

local dry_run = require "queuectl.view.dry_run"
local estimate = require "queuectl.view.estimate"
local graph = require "queuectl.view.graph"
local graph_nodes = require "queuectl.view.graph_nodes"
local t = require "support"

-- Something to print to; .text() is what was printed.
local function paper(opts)
    local parts = {}
    local ctx = { tty = opts and opts.tty, columns = opts and opts.columns or 80 }
    function ctx.print(_, words) parts[#parts + 1] = words end
    function ctx.style(_, _, words) return words end
    function ctx.text() return table.concat(parts) end
    return ctx
end

-- { { name, { need, … }, on = condition }, … }
local function plan(list)
    local jobs, index = {}, {}
    for i, job in ipairs(list) do
        jobs[i], index[job[1]] = { name = job[1], needs = {}, kind = "shell", command = "true" }, i
        for _, name in ipairs(job[2] or {}) do
            table.insert(jobs[i].needs, { name = name, on = job.on or "success" })
        end
    end
    for _, job in ipairs(jobs) do
        for _, need in ipairs(job.needs) do need.job = index[need.name] end
    end
    return { path = "/srv/jobs.lua", jobs = jobs }
end

local PIPELINE = { { "lint" }, { "build" },
    { "test[db=a]", { "build", "lint" } }, { "test[db=b]", { "build", "lint" } },
    { "deploy", { "test[db=a]", "test[db=b]" } }, { "alarm", { "deploy" }, on = "failure" },
    { "report", { "lint", "deploy" }, on = "done" } }

local TIMES = { lint = 1, build = 4, ["test[db=a]"] = 5, ["test[db=b]"] = 3, deploy = 2,
    report = 1 }

local function drawn(list, shape, opts)
    local ctx = paper(opts)
    graph.print(ctx, plan(list), shape, opts)
    return ctx.text()
end

describe("the graph as text", function()
    it("has every job once, and refers to it where it is needed, too", function()
        assert.equal([[
lint
├┄ test ×2 ↓
└┄ report (on done) ↓
build
└─ test ×2
   └─ deploy
      ├─ alarm (on failure)
      └─ report (on done)
7 jobs
]], drawn(PIPELINE, "text"))
    end)

    it("marks the critical path and says how long it takes", function()
        assert.equal([[
lint  1.00 s
├┄ test ×2 ↓
└┄ report (on done) ↓
build  4.00 s *
└─ test ×2  5.00 s *
   └─ deploy  2.00 s *
      ├─ alarm (on failure)  0.00 s
      └─ report (on done)  1.00 s *
7 jobs
critical path * 12 s: build > test[db=a] > deploy > report
about 12 s on 2 slots, by earlier runs
]], drawn(PIPELINE, "text", { times = TIMES, slots = 2 }))
    end)

    it("says which of a group are needed", function()
        local list = {}
        for i = 1, 8 do list[i] = { "index-" .. i } end
        list[9] = { "last", { "index-3" } }
        assert.equal("index-… ×8\n└─ last (needs 1 of 8)\n9 jobs\n", drawn(list, "text"))
    end)

    it("goes on in a tree of its own where it would be too wide", function()
        local list = {}
        for i = 1, 2000 do list[i] = { "c" .. i, i > 1 and { "c" .. i - 1 } or nil } end
        local shown = drawn(list, "text", { tty = true })
        assert.matches("\n +└┄ c14 ↓\nc14  %(needs c13%)\n└─ c15\n", shown)
        for line in shown:gmatch("[^\n]+") do assert(#line < 80, line) end
        for i = 1, 2000 do
            assert(shown:find("%f[%w]c" .. i .. "%f[^%w]"), i .. " is missing")
        end
    end)

    it("never makes a cycle of groups, and loses no job", function()
        local r = t.rng()
        for _ = 1, 100 do
            local list = {}
            for i = 1, r(1, 40) do
                local needs = {}
                for k = 1, i - 1 do if r() < 0.15 then needs[#needs + 1] = list[k][1] end end
                list[i] = { (r(1, 2) == 1 and "a%d" or "m[x=%d]"):format(i), needs }
            end
            local members = 0
            for _, node in ipairs(graph_nodes.of(plan(list).jobs)) do
                members = members + #node.members
                for _, need in ipairs(node.needs) do assert(need.node.step < node.step) end
            end
            assert.equal(#list, members)
            drawn(list, "text")
        end
    end)
end)

describe("the graph for other programs", function()
    local HOSTILE = { { 'a"b\\' }, { "x]; y -> z", { 'a"b\\' } }, { "<b>#1;&`", { "x]; y -> z" },
        on = "failure" } }

    it("is valid for Graphviz", function()
        assert.equal([[
digraph jobs {
    rankdir=LR;
    node [shape=box, fontname="sans-serif"];
    n1 [label="a\"b\\"];
    n2 [label="x]; y -> z"];
    n3 [label="<b>#1;&`"];
    n1 -> n2;
    n2 -> n3 [style=dashed, label="on failure"];
}
]], drawn(HOSTILE, "dot"))
        assert.matches('n2 [label="build  4.00 s", penwidth=3];',
            drawn(PIPELINE, "dot", { times = TIMES }), 1, true)
    end)

    it("is valid for Mermaid", function()
        assert.equal([[
flowchart LR
    n1["a#34;b#92;"]
    n2["x]; y -#62; z"]
    n3["#60;b#62;#35;1;#38;#96;"]
    n1 --> n2
    n2 -. on failure .-> n3
]], drawn(HOSTILE, "mermaid"))
        assert.matches("    class n2,n3,n4,n6 critical\n",
            drawn(PIPELINE, "mermaid", { times = TIMES }), 1, true)
    end)

    it("knows no other shape", function()
        assert.is_true(graph.check "dot")
        local ok, message = graph.check "svg"
        assert.is_nil(ok)
        assert.equal("--graph 'svg': must be text, dot or mermaid", message)
    end)
end)

describe("an estimate", function()
    it("is made of measured times, and of nothing else", function()
        local jobs = plan(PIPELINE).jobs
        assert.is_nil(estimate.of(jobs, nil, 2))
        assert.is_nil(estimate.of(jobs, { lint = 1 }, 2))
        local found = estimate.of(jobs, TIMES, 1)
        assert.same({ 12, 16, 0 }, { found.length, found.wall, found.unknown })
    end)

    it("says how much it does not know", function()
        local jobs = plan(PIPELINE).jobs
        local found = estimate.of(jobs, { lint = 1, build = 4, deploy = 2, ["test[db=a]"] = 5 }, 2)
        assert.matches("by earlier runs (2 jobs not measured yet)",
            estimate.lines(jobs, found)[2], 1, true)
    end)
end)

describe("a dry run", function()
    -- What a shell makes of the printed lines.
    local function run(jobs)
        local ctx = paper()
        dry_run.print(ctx, { path = "/srv/jobs.lua", jobs = jobs })
        return t.run({ "sh" }, { stdin = ctx.text() }), ctx.text()
    end

    it("prints commands that a shell takes as they are meant", function()
        local r = t.rng()
        local pool = { "'", '"', "\\", "$", "`", " ", "\n", "a", "*", "~", "#", "(", ";", "é", "=" }
        for _ = 1, 30 do
            local args, expected = { "printf", "%s|" }, {}
            for i = 1, r(1, 4) do
                local word = {}
                for k = 1, r(0, 6) do word[k] = pool[r(1, #pool)] end
                expected[i] = table.concat(word)
                args[#args + 1] = expected[i]
            end
            local got = run { { name = "a", kind = "argv", argv = args, cwd = "/" } }
            assert.equal(table.concat(expected, "|") .. "|", got.out)
        end
    end)

    it("goes into the folder, with the environment and the input of the job", function()
        local dir = t.tmpdir() .. "/it's here"
        t.mkdir_p(dir)
        local got = run { { name = "a", kind = "shell", cwd = dir, stdin = "in'put\n",
            command = 'pwd\ncat\necho "$A ${HOME-unset}"',
            env = { { name = "A", value = "two words" }, { name = "HOME", unset = true } } } }
        assert.equal(dir .. "\nin'put\ntwo words unset\n", got.out)
    end)

    it("says where reports go when a command makes one", function()
        local heading = "# Where jobs write their reports; the worker gives each a file of its own."
            .. "\nexport QUEUECTL_REPORT=/dev/null\n\n"
        for _, job in ipairs { { kind = "shell", command = 'echo a=1 >>"$QUEUECTL_REPORT"' },
            { kind = "argv", argv = { "queuectl", "report", "a=1" } } } do
            job.name = "a"
            local _, shown = run { job }
            assert.equal(heading, shown:sub(1, #heading))
        end
    end)

    it("names what is not known, what is secret, and what is no command", function()
        local _, shown = run {
            { name = "build", kind = "shell", command = "true", outputs = { "version" } },
            { name = "use\27", kind = "argv", needs = { { job = 1, on = "done" } },
              argv = { "echo", { job = 1, key = "version" } }, when = true,
              env = { { name = "KEY", secret = "env:TOKEN" },
                  { name = "V", job = 1, key = "version" } } },
            { name = "lua", kind = "lua", line = 7, needs = {} },
        }
        assert.equal([[
# Where jobs write their outputs; the worker gives each a file of its own.
export QUEUECTL_OUTPUT=/dev/null

# build
(sh -c true)

# lua
# a Lua function (/srv/jobs.lua:7)

# use\x1b  needs build (on done); only if its condition says so
(KEY='<secret env:TOKEN>' V='<version of build>' echo '<version of build>')
]], shown)
    end)

    it("keeps a first word from being an assignment", function()
        local got = run { { name = "a", kind = "argv", argv = { "A=b" } } }
        assert.equal(127, got.code)
    end)
end)
