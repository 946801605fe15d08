-- The program document: what planning freezes is what a Lua job's process finds again.

local child = require "queuectl.jobs.child"
local jobs = require "queuectl.jobs"
local program = require "queuectl.jobs.program"

local TEXTS = {
    ["/srv/jobs.lua"] = [[
local lib = require "lib"
local n = param "n" { type = "integer", default = 3 }
local names = param "names" { type = "list", default = { "x" } }
defaults { outputs = { "o" }, when = function() return n == 5 end }
job "lua" { run = function() return { lib.value, n, names } end }
job "shell" { run = "echo " .. sh.quote(lib.value), env = { S = secret "env:S" } }
job "m" { matrix = { k = { 1, "two" } }, run = function() end, outputs = { "p" }, when = lib.never }
lib.make "made"
]],
    ["/srv/lib.lua"] = [[
return { value = require "sub.deep", never = function() return false end,
    make = function(name) job(name) { run = function() return "made" end } end }
]],
    ["/srv/sub/deep.lua"] = "return 'it\\'s \\\\ deep'",
    ["/srv/other.lua"] = 'job "plain" { run = "x" }\njob "late" { run = function() end }',
}

local function plan(texts, params)
    return assert(jobs.plan_files({
        { text = texts["/srv/jobs.lua"], path = "/srv/jobs.lua", display = "jobs.lua" },
        { text = texts["/srv/other.lua"], path = "/srv/other.lua", display = "./other.lua" },
    }, { params = params, find = function(path) return texts[path] end }))
end

local function call(fn)
    local ok, message = pcall(fn)
    return ok or nil, message
end

local function with(path, text)
    local texts = setmetatable({}, { __index = TEXTS })
    texts[path] = text
    return texts
end

describe("the document of a plan", function()
    it("begins as documents do and is the same for the same plan", function()
        local first, second = plan(TEXTS, { n = "5" }), plan(TEXTS, { n = 5 })
        assert.equal('{"queuectl":1,', first.document:sub(1, 14))
        assert.equal(first.document, second.document)
    end)

    it("holds every text and the values of the parameters", function()
        local read = assert(program.read(plan(TEXTS, { n = "5" }).document, "/srv/jobs.lua"))
        assert.same({ { display = "jobs.lua", path = "/srv/jobs.lua",
            text = TEXTS["/srv/jobs.lua"] },
            { display = "./other.lua", path = "/srv/other.lua", text = TEXTS["/srv/other.lua"] } },
            read.files)
        assert.same({ { name = "lib", display = "lib.lua", path = "/srv/lib.lua",
            text = TEXTS["/srv/lib.lua"] }, { name = "sub.deep", display = "sub/deep.lua",
            path = "/srv/sub/deep.lua", text = TEXTS["/srv/sub/deep.lua"] } }, read.modules)
        assert.same({ n = 5, names = { "x" } }, read.params)
    end)

    it("keeps numbers exactly", function()
        local values = { a = 2 ^ 53, b = 0.1, c = -1e-7, d = true, e = { "x", "ü\0\\\"\n" } }
        local text = program.write { files = {}, modules = {}, params = values }
        assert.same(values, program.read(text, "x").params)
    end)

    it("of an older store is the text of the jobs file", function()
        assert.same({ files = { { display = "/a/jobs.lua", path = "/a/jobs.lua",
            text = "local x" } },
            modules = {}, params = {} }, program.read("local x", "/a/jobs.lua"))
    end)

    it("that cannot be read is refused", function()
        assert.same({ nil, "the stored program cannot be read" },
            { program.read('{"queuectl":1,', "x") })
        assert.same({ nil, "the stored program has version 2; this queuectl reads version 1" },
            { program.read('{"queuectl":2,"files":[],"modules":[],"params":{}}', "x") })
    end)
end)

describe("two documents", function()
    local document = plan(TEXTS).document

    it("do not differ when their texts and values are the same", function()
        assert.is_nil(program.differs(document, plan(TEXTS).document))
        assert.is_nil(program.differs("local x", "local x", "a.lua"))
    end)

    it("differ by the file or module, or the parameters", function()
        local shorter = with("/srv/lib.lua", "return { value = 1, make = function() end }")
        for what, other in pairs {
            ["jobs.lua"] = plan(with("/srv/jobs.lua", TEXTS["/srv/jobs.lua"] .. "-- x")).document,
            ["./other.lua"] = plan(with("/srv/other.lua", 'job "z" { run = "x" }')).document,
            ["sub/deep.lua"] = plan(with("/srv/sub/deep.lua", "return '1'")).document,
            ["lib.lua"] = plan(shorter).document,
            ["the parameters"] = plan(TEXTS, { n = "4" }).document,
        } do
            assert.equal(what, program.differs(document, other, "/srv/jobs.lua"))
        end
    end)

    it("may be of different kinds", function()
        local text = "job 'a' { run = 'x' }"
        local planned = assert(jobs.plan(text, "/srv/a.lua"))
        assert.is_nil(program.differs(text, planned.document, "/srv/a.lua"))
        assert.equal("/srv/a.lua", program.differs(text .. " ", planned.document, "/srv/a.lua"))
    end)
end)

describe("the process of a Lua job", function()
    local function load(texts, params)
        return assert(child.load(plan(texts or TEXTS, params).document, "/srv/jobs.lua", call))
    end

    it("finds each job with its function", function()
        local loaded = load(nil, { n = "5", names = "a,b" })
        local found = assert(loaded:find "lua")
        assert.same({ "it's \\ deep", 5, { "a", "b" } }, found.fn())
        assert.same({ "lua", { "o" } }, { found.name, found.outputs })
        assert.is_true(found.when())
        assert.equal("made", loaded:find("made").fn())
        assert.truthy(loaded:find "late")
        assert.same({ n = 5, names = { "a", "b" } }, loaded.params)
    end)

    it("finds the instances of a matrix", function()
        local loaded = load()
        local found = assert(loaded:find "m[k=two]")
        assert.same({ { k = "two" }, { "p" }, false }, { found.matrix, found.outputs,
            found.when() })
        assert.equal(1, loaded:find("m[k=1]").matrix.k)
        assert.is_nil(loaded:find "m")
    end)

    it("finds a shell job that asks whether it is to run", function()
        local found = assert(load():find "shell")
        assert.is_nil(found.fn)
        assert.is_false(found.when())
    end)

    it("says when there is no such job, or no function of it", function()
        local loaded = load()
        assert.same({ nil, "jobs.lua: job 'gone' was not defined this time; a file must define the "
            .. "same jobs whenever it is read" }, { loaded:find "gone" })
        assert.same({ nil, "jobs.lua: job 'plain' has no Lua function this time" },
            { loaded:find "plain" })
    end)

    it("tells where a text went wrong, and knows all texts", function()
        local text = plan(with("/srv/sub/deep.lua",
            "if rawget(_G, 'x') then\nend return 1")).document
        local broken = text:gsub("return 1", "error 'here'")
        assert.same({ nil, "sub/deep.lua:2: here" }, { child.load(broken, "/srv/jobs.lua", call) })
        broken = text:gsub("local lib =", "local = lib")
        assert.matches("^jobs.lua:1: '<name>' expected", (select(2,
            child.load(broken, "/srv/jobs.lua", call))))
        assert.equal(4, #load().code.units)
    end)

    it("needs no file: a module that was not loaded then is not there now", function()
        local texts = with("/srv/jobs.lua", 'if rawget(_G, "x") then require "unused" end '
            .. 'job "a" { run = function() end }')
        local text = plan(texts).document:gsub('rawget%(_G, \\"x\\"%)', "true")
        assert.matches("^jobs.lua:1: module 'unused' not found: no unused.lua", (select(2,
            child.load(text, "/srv/jobs.lua", call))))
    end)

    it("finds one of ten thousand instances at once", function()
        local source = [[
            local axis = {}
            for i = 1, 100 do axis[i] = i end
            job "m" { matrix = { a = axis, b = axis }, run = function() end }]]
        local planned = assert(jobs.plan(source, "/srv/jobs.lua"))
        local loaded = assert(child.load(planned.document, "/srv/jobs.lua", call))
        local start = os.clock()
        for _, job in ipairs(planned.jobs) do assert(loaded:find(job.name)) end
        assert.is_true(os.clock() - start < 1)
        assert.same({ a = 7, b = 93 }, loaded:find("m[a=7,b=93]").matrix)
    end)
end)
