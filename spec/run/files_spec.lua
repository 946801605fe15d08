-- Several files are one run; and what --help says about a file.

local project = require "run.project"

local A = [[
    param "target" { choices = { "staging", "prod" }, default = "staging", desc = "where to" }
    job "a" { desc = "the first", run = "echo a >>$WITNESS; test ! -e fail", retries = 0 }
]]
local B = [[ job "b" { needs = "a", run = "echo b >>$WITNESS" } ]]

local function two()
    local p = project.new(A)
    p:write(B, "b.lua")
    return p
end

describe("a run of several files", function()
    it("has needs across them, and goes on as the same files", function()
        local p = two()
        p:write("", "fail")
        assert.equal(1, p:q("run", "jobs.lua", "b.lua").code)
        local r = p:q("run", "--resume", "jobs.lua")
        assert.same({ 3, "queuectl: jobs.lua has never been run; leave out --resume\n" },
            { r.code, r.err })
        os.remove(p.dir .. "/fail")
        r = p:q("run", "--resume", "jobs.lua", "b.lua")
        assert.equal(0, r.code, r.err)
        assert.same({ "a", "a", "b" }, p:witnessed())
        r = p:q("run", "--resume", "jobs.lua", "b.lua")
        assert.equal("queuectl: jobs.lua b.lua has nothing to go on with: run 1 is complete; leave "
            .. "out --resume\n", r.err)
    end)

    it("says which of them has changed", function()
        local p = two()
        p:write("", "fail")
        assert.equal(1, p:q("run", "jobs.lua", "b.lua").code)
        p:write(B .. "\n", "b.lua")
        local r = p:q("run", "--resume", "jobs.lua", "b.lua")
        assert.equal(4, r.code)
        assert.matches("^queuectl: b.lua has changed since run 1; put it back, ", r.err)
    end)

    it("stands in the list as they are typed", function()
        local p = two()
        assert.equal(0, p:q("run", "--only", "a", "jobs.lua", "b.lua").code)
        assert.matches(p.dir .. "/jobs.lua " .. p.dir .. "/b.lua\n",
            p:q("runs", "list", "-o", "table").out, 1, true)
        assert.equal("1\n", p:q("runs", "list", "-o", "id", "--file", "jobs.lua", "b.lua").out)
        assert.equal("", p:q("runs", "list", "-o", "id", "--file", "jobs.lua").out)
    end)
end)

describe("run FILE --help", function()
    it("shows parameters and jobs on a pipe", function()
        local r = two():q("run", "jobs.lua", "--help")
        assert.same({ 0, "" }, { r.code, r.err })
        assert.equal([[
Usage: queuectl run jobs.lua [-p NAME=VALUE …] [OPTION …]

Parameters:
  -p target=string  one of staging|prod, default staging  where to

Its job:
  a  -  the first

Options of run itself: queuectl help run
]], r.out)
    end)

    it("takes several files, and is not confused by other options", function()
        local p = two()
        for _, words in ipairs {
            { "jobs.lua", "b.lua", "--help" }, { "-h", "jobs.lua", "b.lua" },
            { "-p", "target=prod", "jobs.lua", "b.lua", "--help" },
            { "-j", "4", "--only", "a", "jobs.lua", "b.lua", "--help" },
        } do
            local r = p:q("run", unpack(words))
            assert.equal(0, r.code, r.err)
            assert.matches("^Usage: queuectl run jobs.lua b.lua %[%-p", r.out)
            assert.matches("\nIts 2 jobs:\n  a  -        the first\n  b  needs 1\n", r.out, 1, true)
        end
    end)

    it("names a file that is not there, and is the command's own without one", function()
        local p = two()
        local r = p:q("run", "jbos.lua", "--help")
        assert.same({ 3, "queuectl: jbos.lua: No such file or directory\n" }, { r.code, r.err })
        assert.matches("^Usage: queuectl run ", p:q("run", "--help").out)
    end)
end)
