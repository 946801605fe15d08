-- Plans of several texts: modules that a file requires, and several files in one plan.

local jobs = require "queuectl.jobs"

-- A plan of the texts by path; the files are those listed, or jobs.lua. Paths are below /srv/app.
local function plan(texts, names, opts)
    local files = {}
    for i, name in ipairs(names or { "jobs.lua" }) do
        files[i] = { text = texts[name], path = "/srv/app/" .. name, display = name }
    end
    opts = opts or {}
    function opts.find(path)
        return texts[path:match("^/srv/app/(.*)$") or path]
    end
    return jobs.plan_files(files, opts)
end

local function wrong(texts, names)
    local planned, message = plan(texts, names)
    assert.is_nil(planned)
    return message
end

local function names_of(planned)
    local names = {}
    for i, job in ipairs(planned.jobs) do names[i] = job.name end
    return names
end

describe("a module", function()
    it("is found beside the file that requires it, also in folders", function()
        local planned = assert(plan {
            ["jobs.lua"] = 'local m = require "lib.names" job(m.first) { run = require "lib" }',
            ["lib/names.lua"] = 'return { first = require("deep.one") }',
            ["lib/deep/one.lua"] = 'return ...',
            ["lib/init.lua"] = 'return "from init"',
        })
        assert.equal("deep.one", planned.jobs[1].name)
        assert.equal("from init", planned.jobs[1].command)
    end)

    it("is loaded once, whoever asks", function()
        local planned = assert(plan({
            ["a.lua"] = 'job "a" { run = require("m").x } require "sub.n"',
            ["b.lua"] = 'job "b" { run = require("m").x }',
            ["m.lua"] = 'job "m" { run = "true" } return { x = "echo" }',
            ["sub/n.lua"] = 'local m = require "m" assert(m == nil or m.x == nil)',
            ["sub/m.lua"] = 'return {}',
        }, { "a.lua", "b.lua" }))
        assert.same({ "m", "a", "b" }, names_of(planned))
    end)

    it("without a result gives true, with false gives false", function()
        assert.truthy(plan {
            ["jobs.lua"] = 'assert(require "t" == true and require "f" == false) '
                .. 'assert(require "f" == false) job "a" { run = "x" }',
            ["t.lua"] = "", ["f.lua"] = "return false",
        })
    end)

    it("has job, param, defaults, secret and sh, and the same strictness", function()
        local planned = assert(plan({
            ["jobs.lua"] = 'defaults { queue = "q", retries = 1 } require("m").make "x" '
                .. 'job "y" { run = "y" }',
            ["m.lua"] = 'defaults { retries = 7 } local p = param "p" { default = "d" } '
                .. 'return { make = function(name) job(name) { run = "echo " .. sh.quote(p), '
                .. 'cwd = "sub", env = { S = secret "file:s" } } end }',
        }, nil, { params = { p = "it's" } }))
        local x, y = planned.jobs[1], planned.jobs[2]
        assert.same({ "q", 7, "echo 'it'\\''s'" }, { x.queue, x.retries, x.command })
        assert.same({ "q", 1 }, { y.queue, y.retries })
        assert.same({ "/srv/app/sub", "file:/srv/app/s" }, { x.cwd, x.env[1].secret })
        assert.same({ "m.lua", 1, "jobs.lua" }, { x.file, x.line, y.file })
    end)

    it("is named with its line in what is wrong", function()
        for text, told in pairs {
            ["\nlocal x = nil .. 'a'"] = "m.lua:2: attempt to concatenate a nil value",
            ["\n\nerror 'no'"] = "m.lua:3: no",
            ["\nlocal x = ("] = "m.lua:2: unexpected symbol near '<eof>'",
            ["jbo 'x' {}"] = "m.lua:1: undefined variable 'jbo' (did you mean 'job'?)",
            ["\njob 'x' { rum = 1, run = 'x' }"] =
                "m.lua:2: job 'x': unknown key 'rum' (did you mean 'run'?)",
            ["x = 1"] = "m.lua:1: assignment to global 'x': add 'local'",
            ["defaults { retries = -1 }"] = "m.lua:1: defaults: retries: must be a whole number "
                .. 'from 0 to 1000000 or "unlimited", not -1',
            ["job 'a' { run = 'x' }"] = "jobs.lua:2: job 'a' is already defined at m.lua:1",
            ["\255"] = "m.lua:1: not valid UTF-8; save the file as UTF-8, write other bytes as "
                .. '"\\255"',
            ["\254\255"] = "jobs.lua:1: module 'm': m.lua: UTF-16 text; save the file as UTF-8",
        } do
            assert.equal(told, wrong { ["jobs.lua"] = "require 'm'\njob 'a' { run = 'x' }",
                ["m.lua"] = text })
        end
    end)

    it("is named, too, when the mistake went through a coroutine or was raised again", function()
        for _, text in ipairs { 'coroutine.wrap(function() require "m" end)()',
            'local ok, message = pcall(require, "m") error(message)' } do
            assert.equal("m.lua:2: deep", wrong { ["jobs.lua"] = "\n\n" .. text,
                ["m.lua"] = '\nerror "deep"' })
        end
    end)

    it("that calls back is where the innermost line of the user's is", function()
        assert.equal("jobs.lua:2: here", wrong {
            ["jobs.lua"] = 'require("m")(function()\nerror "here" end)',
            ["m.lua"] = "return function(f) f() end",
        })
        assert.equal("m.lua:1: job 'x': run is missing", wrong {
            ["jobs.lua"] = '\n\nrequire("m") "x"', ["m.lua"] = "return function(n) job(n) {} end",
        })
    end)

    it("that requires itself again is told with the way around", function()
        assert.equal("b.lua:1: modules require each other: a -> b -> a", wrong {
            ["jobs.lua"] = 'require "a"', ["a.lua"] = '\nrequire "b"', ["b.lua"] = 'require "a"',
        })
        assert.equal("a.lua:1: modules require each other: a -> a", wrong {
            ["jobs.lua"] = 'require "a"', ["a.lua"] = 'require "a"' })
    end)

    it("that is nowhere is told with the folders", function()
        local message = wrong { ["sub/jobs.lua"] = "\nrequire 'x.y'" ,
            ["jobs.lua"] = "require 'no.x'" }
        assert.matches("^jobs%.lua:1: module 'no%.x' not found: no no/x%.lua or "
            .. "no/x/init%.lua in %.",
            message)
        assert.is_nil(message:find("\n"))
    end)

    it("may be missing if the file can do without", function()
        assert.truthy(plan { ["jobs.lua"] = 'local ok, message = pcall(require, "m") '
            .. 'assert(not ok and message:find("^m.lua:1: broken")) '
            .. 'ok, message = pcall(require, "m") '
            .. 'assert(message:find("^m.lua:1: broken"), message) job "a" { run = "x" }',
            ["m.lua"] = 'error "broken"' })
    end)

    it("of the same name in another folder is another one, and named apart", function()
        local texts = { ["/a/jobs.lua"] = "require 'm'", ["/b/jobs.lua"] = "\nrequire 'm'",
            ["/a/m.lua"] = "job 'a' { run = 'x' }", ["/b/m.lua"] = "job 'b' {}" }
        local _, message = jobs.plan_files({
            { text = texts["/a/jobs.lua"], path = "/a/jobs.lua", display = "one.lua" },
            { text = texts["/b/jobs.lua"], path = "/b/jobs.lua", display = "two.lua" },
        }, { find = function(path) return texts[path] end })
        assert.equal("/b/m.lua:1: job 'b': run is missing", message)
    end)

    it("needs a proper name", function()
        for given, told in pairs {
            ["5"] = "require needs the name of a module, not 5",
            ["nil"] = "require needs the name of a module, not nil",
            ['""'] = "bad module name '': write dots for folders, without .lua",
            ['"a/b"'] = "bad module name 'a/b': write dots for folders, without .lua",
        } do
            assert.equal("jobs.lua:1: " .. told,
                wrong { ["jobs.lua"] = "require(" .. given .. ")" })
        end
    end)

    it("can be one of Lua's own, which nothing shadows, or one that is built in", function()
        assert.truthy(plan { ["jobs.lua"] = 'assert(require "string" == string and require "bit") '
            .. 'assert(require("ffi").new and require("cjson").encode) job "a" { run = "x" }',
            ["string.lua"] = "error 'shadow'" })
    end)

    it("that is installed is not held to strictness", function()
        local before = package.path
        package.path = "/opt/lua/?.lua;" .. package.path
        finally(function() package.path = before end)
        local planned = assert(plan { ["jobs.lua"] = 'job(require("lib.x").name) { run = "x" }',
            ["/opt/lua/lib/x.lua"] = 'helper = utf8 or "plain" return { name = helper }' })
        assert.equal("plain", planned.jobs[1].name)
        assert.matches('"modules":%[{"name":"lib.x","display":"\\/opt', planned.document)
    end)
end)

describe("several files", function()
    local FIRST = 'defaults { queue = "one" }\n'
        .. 'local b = job "build" { run = "x", outputs = { "v" } }'

    it("are one plan: names are shared, defaults are not", function()
        local planned = assert(plan({ ["a.lua"] = FIRST,
            ["sub/b.lua"] = 'job "use" { needs = { "build", { "later", on = "done" } }, '
                .. 'run = "y" }',
            ["c.lua"] = 'job "later" { run = "z" }' }, { "a.lua", "sub/b.lua", "c.lua" },
            { folders = true }))
        assert.same({ "build", "use", "later" }, names_of(planned))
        assert.same({ { job = 1, on = "success" }, { job = 3, on = "done" } },
            planned.jobs[2].needs)
        assert.same({ "one", "default" }, { planned.jobs[1].queue, planned.jobs[2].queue })
        assert.same({ "/srv/app", "/srv/app/sub", "/srv/app" },
            { planned.jobs[1].cwd, planned.jobs[2].cwd, planned.jobs[3].cwd })
        assert.equal("/srv/app/a.lua", planned.path)
        assert.equal("sub/b.lua", planned.jobs[2].file)
    end)

    it("that clash are both named", function()
        assert.equal("b.lua:1: job 'build' is already defined at a.lua:2",
            wrong({ ["a.lua"] = FIRST, ["b.lua"] = 'job "build" { run = "x" }' },
                { "a.lua", "b.lua" }))
        assert.equal("b.lua:1: job 'm': its instance 'm[k=1]' is also the job at a.lua:1",
            wrong({ ["a.lua"] = 'job "m[k=1]" { run = "x" }',
                ["b.lua"] = 'job "m" { run = "x", matrix = { k = { 1 } } }' }, { "a.lua",
                    "b.lua" }))
        assert.equal("b.lua:1: parameter 'p': is declared differently at a.lua:1",
            wrong({ ["a.lua"] = 'param "p" { default = "1" } job "a" { run = "x" }',
                ["b.lua"] = 'param "p" { type = "integer" }' }, { "a.lua", "b.lua" }))
    end)

    it("show their mistakes in the order they were given, then of lines", function()
        assert.equal("b.lua:1: job 'y' needs unknown job 'z'\n"
            .. "a.lua:1: job 'w': run is missing\na.lua:2: job 'x' needs unknown job 'q'",
            wrong({ ["a.lua"] = 'job "w" {}\njob "x" { run = "x", needs = "q" }',
                ["b.lua"] = 'job "y" { run = "x", needs = "z" }' }, { "b.lua", "a.lua" }))
    end)

    it("are told to be in a cycle as one", function()
        assert.equal("dependency cycle: a -> b -> a",
            wrong({ ["a.lua"] = 'job "a" { run = "x", needs = "b" }',
                ["b.lua"] = 'job "b" { run = "x", needs = "a" }' }, { "a.lua", "b.lua" }))
    end)

    it("may have equal parameters and one without jobs", function()
        local planned = assert(plan({ ["a.lua"] = 'param "p" { default = "1" }',
            ["b.lua"] = 'job "a" { run = param "p" { default = "1", desc = "the same" } }' },
            { "a.lua", "b.lua" }, { params = { p = "2" } }))
        assert.equal("2", planned.jobs[1].command)
        assert.equal(1, #planned.params)
    end)
end)
