-- The report of a run as a file, and the summary at its end.

local t = require "support"
local project = require "run.project"

local MIXED = [[
    local build = job "build" { run = 'sleep 0.1; echo v=1 >>"$QUEUECTL_OUTPUT"',
        outputs = { "v" } }
    local tests = job "test" { needs = build, matrix = { db = { "pg", "my" } }, run = "true" }
    job "flaky" { run = "test $QUEUECTL_ATTEMPT = 2", backoff = { "10ms" } }
    job "bad" { run = "echo first; echo last line; exit 3", retries = 0 }
    job "after" { needs = "bad", run = "true" }
    job "later" { needs = "after", run = "true" }
    job "deploy" { needs = tests, run = "true" }
]]

local HOSTILE = '</script><svg onload=alert(1)>"\'&'

-- Fails unless every element is closed where it must be, and nothing is in it that would load or
-- run something.
local function assert_well_formed(page)
    -- Those that HTML closes by itself, and those that have no end.
    local free = { td = true, th = true, tr = true, thead = true, tbody = true, meta = true,
        ["!doctype"] = true, br = true, line = true }
    local known = {}
    for word in ([[html head meta title style body main header p h1 h2 h3 span i dl div dt dd
        section article b code pre ul ol li svg defs pattern rect line text table thead tbody tr th
        td details summary footer br]]):gmatch("%w+") do known[word] = true end
    local open = {}
    for slash, name, rest in page:gmatch("<(/?)([!%w]+)([^<>]*)>") do
        name = name:lower()
        assert(known[name] or name == "!doctype", "no element of ours: " .. name)
        assert(not rest:find("%son%a+=") and not rest:find("src=") and not rest:find("href="),
               name .. rest)
        if slash == "/" then
            while free[open[#open]] and open[#open] ~= name do open[#open] = nil end
            assert.equal(name, table.remove(open))
        elseif rest:sub(-1) ~= "/" and name ~= "meta" and name ~= "br" and name ~= "!doctype" then
            open[#open + 1] = name
        end
    end
    assert.same({}, open)
    assert.is_nil(page:find("https?:"))
    assert.is_nil(page:find("url%([^#]"))
    assert.is_nil(page:find("[%z\1-\8\11-\31\127]"))
    assert.equal(0, t.run({ "iconv", "-f", "UTF-8", "-t", "UTF-16" }, { stdin = page }).code)
end

describe("run --report", function()
    it("writes a page with everything there is to know", function()
        local p = project.new(MIXED)
        p:run(1, "--report", "out.html")
        local page = p:read "out.html"
        assert_well_formed(page)
        local failed = page:match("<h2>What failed</h2>(.-)</section>")
        assert.matches('<b class="name">bad</b>', failed, 1, true)
        assert.matches("<pre>first\nlast line</pre>", failed, 1, true)
        assert.matches("queuectl logs " .. p:jobs().bad.id, failed, 1, true)
        assert.matches("<li>2 jobs: needs &#39;bad&#39;, which is dead", page, 1, true)
        -- What failed comes first, then the picture, then the table in the order of the file.
        local at = 0
        for _, words in ipairs { "What failed", "Skipped", "When it ran", "Critical path",
            "<h2>Jobs", 'name">build', 'name">test[db=pg]', 'name">test[db=my]', 'name">flaky',
            'name">bad', 'name">after', 'name">later', 'name">deploy' } do
            at = page:find(words, at + 1, true)
            assert(at, words .. " is missing or in the wrong place")
        end
        -- A bar an attempt: six jobs ran, one of them twice.
        local chart = page:match('<svg class="gantt".*</svg>')
        assert.equal(7, select(2, chart:gsub("<title>", "")))
        assert.equal(1, select(2, chart:gsub('<rect class="again"', "")))
        assert.equal(1, select(2, chart:gsub('<rect class="bad', "")))
    end)

    it("writes the same as JSON", function()
        local p = project.new(MIXED)
        p:run(1, "--report=out.json")
        local got = t.json(p:read "out.json")
        assert.same({ 1, 1, 0, 3 }, { got.queuectl_report, got.run, got.left, got.failed })
        assert.same({ 5, 1, 2 }, { got.jobs.completed, got.jobs.dead, got.jobs.skipped })
        local names, by_name = {}, {}
        for i, job in ipairs(got.list) do names[i], by_name[job.name] = job.name, job end
        assert.equal("build test[db=pg] test[db=my] flaky bad after later deploy",
                     table.concat(names, " "))
        assert.same({ "test[db=pg]", "test[db=my]" }, by_name.deploy.needs)
        assert.same({ "first", "last line" }, by_name.bad.output_end)
        assert.equal(2, #by_name.flaky.attempts)
        assert.equal("exit 1", by_name.flaky.attempts[1].error)
        assert.is_number(by_name.deploy.waited_seconds)
        assert.equal(p.dir .. "/jobs.lua", got.file)
        assert.equal("flaky", got.retried[1].name)
        local sum = 0
        for _, job in ipairs(got.critical_path.jobs) do
            sum = sum + job.seconds
            assert.is_true(by_name[job.name].critical)
        end
        assert.near(got.critical_path.seconds, sum, 0.01)
    end)

    it("makes text of whatever jobs are called and print", function()
        local p = project.new(([[
            job(%q) { retries = 0,
                run = { "sh", "-c", [=[printf '\033[31m\377\001 %%s\n' "$0" >&2; exit 1]=], %q } }
        ]]):format(HOSTILE, HOSTILE))
        p:run(1, "--report", "out.html")
        local page = p:read "out.html"
        assert_well_formed(page)
        assert.is_nil(page:find("<svg onload", 1, true))
        assert.matches("&lt;/script&gt;&lt;svg onload=alert(1)&gt;&quot;&#39;&amp;", page, 1, true)
        assert.matches("\\x1b[31m\239\191\189\\x01 ", page, 1, true)
        p:run(1, "--report", "out.json")
        assert.equal(HOSTILE, t.json(p:read "out.json").list[1].name)
    end)

    it("is for the owner's eyes, and replaces an older one in one step", function()
        local p = project.new 'job "a" { run = "true" }'
        t.write_file(p.dir .. "/out.json", "old")
        t.run { "chmod", "644", p.dir .. "/out.json" }
        p:run(0, "--report", p.dir .. "/out.json")
        assert.equal("600\n", t.run({ "stat", "-c", "%a", p.dir .. "/out.json" }).out)
        assert.equal("", t.run({ "sh", "-c", "ls | grep tmp" }, { cwd = p.dir }).out)
    end)

    it("says before anything runs that it cannot be written", function()
        local p = project.new 'job "a" { run = "true" }'
        t.mkdir_p(p.dir .. "/folder.html")
        for path, message in pairs {
            ["out.txt"] = "--report 'out.txt': must end in .html or .json",
            ["none/out.html"] = "--report 'none/out.html': there is no folder 'none'",
            ["folder.html"] = "--report 'folder.html': is a folder",
        } do
            local r = p:q("run", "jobs.lua", "--report", path)
            assert.equal(2, r.code)
            assert.matches(message, r.err, 1, true)
            assert.equal(0, p:count())
        end
    end)

    it("is small and readable with thousands of jobs", function()
        local p = project.new [[
            for i = 1, 3000 do
                job("resize-" .. i) { run = { "sh", "-c", i == 700 and "exit 1" or ":" },
                    retries = 0 }
            end
        ]]
        p:run(1, "--report", "out.html")
        local page = p:read "out.html"
        assert_well_formed(page)
        assert(#page < 1500000, #page .. " bytes for 3000 jobs")
        local plain = page:gsub("<details>.-</details>", "")
        assert(#plain < 300000, #plain .. " bytes to be seen at once")
        assert.matches("resize-…</span> ×2,999 <span", page, 1, true)
        assert.matches('<b class="name">resize%-700</b>', plain)
        for i = 1, 3000, 100 do assert(page:find("resize-" .. i .. "<", 1, true)) end
    end)
end)

describe("the end of a run", function()
    it("is short where all went well, and prints what the last job has to say", function()
        local p = project.new [[
            local a = job "a" { run = "sleep 1.1" }
            local m = job "m" { needs = a, matrix = { x = { 1, 2, 3 } },
                run = "sleep 0.05" }
            job "result" { needs = m, outputs = { "url", "n" },
                run = 'sleep 0.05; echo url=https://example.org >>"$QUEUECTL_OUTPUT"; '
                    .. 'echo n=1 >>"$QUEUECTL_OUTPUT"' }
        ]]
        local r = p:run(0)
        local ending = r.out:match("\n(5 completed in .*)$")
        local lines = project.lines(ending)
        assert.equal(6, #lines)
        assert.matches("^work      1%.%d%d s in all$", lines[2])
        assert.matches("^critical  1%.%d%d s: a > m%[x=%d%] > result$", lines[3])
        assert.matches("^slowest   a 1%.%d%d s, ", lines[4])
        assert.same({ "output    n=1", "output    url=https://example.org" },
            { lines[5], lines[6] })
    end)

    it("says what was skipped by its cause, and what needed more than one try", function()
        local p = project.new(MIXED)
        local r = p:run(1)
        assert.matches("\nskipped   2 jobs (needs 'bad', which is dead): after, later\n", r.out, 1,
                       true)
        assert.matches("\nretried   flaky (2 attempts)\n", r.out, 1, true)
        assert.is_nil(r.out:find("output ", 1, true), "outputs are for runs that went well")
        local events = project.events(p:q("run", "--json", "jobs.lua").out)
        local summary = events[#events]
        assert.equal("flaky", summary.retried[1].name)
        assert.equal(2, summary.retried[1].attempts)
        assert.equal(5, #summary.slowest)
    end)

    it("gives programs the outputs, too", function()
        local p = project.new [[ job "a" { run = 'echo k=v >>"$QUEUECTL_OUTPUT"',
            outputs = { "k" } } ]]
        local events = project.events(p:q("run", "--json", "jobs.lua").out)
        assert.same({ k = "v" }, events[#events].outputs)
    end)
end)

describe("what a run would do", function()
    it("is shown as commands, and nothing is touched", function()
        local p = project.new(MIXED)
        local r = p:run(0, "--dry-run")
        assert.matches("\n# test[db=pg]  needs build\n(cd " .. p.dir
            .. " && MATRIX_DB=pg sh -c true)\n", r.out, 1, true)
        assert.equal(0, p:count())
    end)

    it("is shown as a graph", function()
        local p = project.new(MIXED)
        assert.equal([[
build
└─ test ×2
   └─ deploy
flaky
bad
└─ after
   └─ later
8 jobs
]], p:run(0, "--graph").out)
        assert.matches("^digraph jobs {\n", p:run(0, "--graph=dot").out)
        assert.matches("^flowchart LR\n", p:run(0, "--graph", "mermaid").out)
        local r = p:q("run", "jobs.lua", "--graph=svg")
        assert.equal(2, r.code)
        assert.matches("--graph 'svg': must be text, dot or mermaid", r.err, 1, true)
        assert.equal(0, p:count())
    end)
end)
