-- -p and --params.

local t = require "support"
local project = require "run.project"

local FILE = [[
    local target = param "target" { choices = { "staging", "prod" }, default = "staging" }
    local n = param "n" { type = "integer", default = 1 }
    local who = param "who" {}
    job "a" { retries = 0, run = { "sh", "-c", "echo $0 $1 $2 >>$WITNESS; test -e ok", target,
        tostring(n), who or "nobody" } }
]]

describe("values for parameters", function()
    local p
    before_each(function()
        p = project.new(FILE)
        p:write("", "ok")
    end)

    local function last() return p:witnessed()[#p:witnessed()] end
    local function refused(code, message, ...)
        local r = p:q("run", "jobs.lua", ...)
        assert.same({ code, "queuectl: " .. message .. "\n" }, { r.code, r.err })
        assert.equal(0, p:count())
    end

    it("come from -p, from a file, or from both: then -p wins", function()
        p:run(0)
        assert.equal("staging 1 nobody", last())
        p:run(0, "-p", "n=2", "--param", "target=prod", "-p", "who=a=b c")
        assert.equal("prod 2 a=b c", last())
        p:write('{ "n": 3, "target": "prod", "who": null }', "v.json")
        p:run(0, "--params", "v.json")
        assert.equal("prod 3 nobody", last())
        p:run(0, "--params", "v.json", "-p", "n=4")
        assert.equal("prod 4 nobody", last())
        assert.same({ n = 4, target = "prod" },
            t.json(p:q("runs", "show", "last", "--json").out).params)
    end)

    it("are refused with one line when they are wrong", function()
        refused(2, "-p 'n': must be NAME=VALUE", "-p", "n")
        refused(2, "parameter 'n' is given twice", "-p", "n=1", "-p", "n=2")
        refused(2, "unknown parameter 'trget' (did you mean 'target'?); there are target, n, who",
            "-p", "trget=1")
        refused(3, "--params: nope.json: No such file or directory", "--params", "nope.json")
        p:write("[1]", "list.json")
        refused(2, '--params: list.json: not a JSON object; write an object such as '
            .. '{ "name": "value" }', "--params", "list.json")
        p:write("", "empty.json")
        assert.matches("^queuectl: %-%-params: empty.json: [^\n]+\n$",
            p:run(2, "--params", "empty.json").err)
        refused(2, "--params: . cannot be read; give a JSON file", "--params", ".")
        p:write('{ "n": "x" }', "v.json")
        assert.matches("^queuectl: parameter 'n': [^\n]+\n$", p:run(2, "--params", "v.json").err)
        assert.matches("^queuectl: parameter 'target': [^\n]+\n$", p:run(2, "-p", "target=x").err)
        assert.equal(0, p:count())
    end)

    describe("of a run that is gone on with", function()
        before_each(function()
            os.remove(p.dir .. "/ok")
            p:run(1, "-p", "n=2", "-p", "who=me")
            p:write("", "ok")
        end)

        it("are those it had", function()
            p:run(0, "--resume")
            assert.equal("staging 2 me", last())
        end)

        it("may be said again, but not changed", function()
            assert.equal("queuectl: the parameters have changed since run 1; put them back, take "
                .. "the new text for what is left with --new-text, or start anew without "
                .. "--resume\n", p:run(4, "--resume", "-p", "n=3").err)
            p:run(0, "--resume", "-p", "n=2")
            assert.equal("staging 2 me", last())
        end)

        it("change with --new-text: those given then and now stay, the others are as the file says",
            function()
            p:write((FILE:gsub('default = "staging"', 'default = "prod"')))
            p:run(0, "--resume", "--new-text", "-p", "n=3")
            assert.equal("prod 3 me", last())
        end)

        it("are forgotten with --new-text where the file does not take them any more", function()
            p:write((FILE:gsub('param "who" {}', "nil")))
            p:run(0, "--resume", "--new-text")
            assert.equal("staging 2 nobody", last())
        end)
    end)
end)
