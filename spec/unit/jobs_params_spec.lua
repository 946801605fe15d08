-- Parameters: what files declare, what is given for a run, and how both are told to be wrong.

local jobs = require "queuectl.jobs"

local function plan(source, params, opts)
    opts = opts or {}
    opts.display, opts.params = "jobs.lua", params
    return jobs.plan(source .. '\njob "a" { run = "x" }', "/srv/app/jobs.lua", opts)
end

-- What `param "p" { keys }` gives the file.
local function value_of(keys, given, opts)
    local seen
    opts = opts or {}
    opts.print = function(value) seen = value end
    local planned, message = plan(('print(param "p" { %s })'):format(keys), { p = given }, opts)
    assert.is_nil(message)
    assert.same(seen, planned.params[1].value)
    return seen
end

describe("a parameter", function()
    it("is text unless it says otherwise", function()
        assert.equal("x y", value_of("", "x y"))
        assert.equal("5", value_of("", 5))
        assert.equal("", value_of("", ""))
        assert.is_nil(value_of("", nil))
        assert.equal("d", value_of('default = "d"', nil))
        assert.equal("g", value_of('default = "d"', "g"))
    end)

    it("reads text and values by its type", function()
        for _, case in ipairs {
            { "integer", "12", 12 }, { "integer", "-3", -3 }, { "integer", "+3", 3 },
            { "integer", 7, 7 }, { "integer", "9007199254740992", 2 ^ 53 },
            { "number", "1.5", 1.5 }, { "number", -0.25, -0.25 }, { "number", "10", 10 },
            { "boolean", "true", true }, { "boolean", "no", false }, { "boolean", "1", true },
            { "boolean", "off", false }, { "boolean", false, false },
            { "list", "a,b,,c", { "a", "b", "", "c" } }, { "list", "", {} },
            { "list", { "x", "y,z" }, { "x", "y,z" } },
            { "path", "/a/b", "/a/b" }, { "path", "./b", "/home/me/b" }, { "path", ".",
                "/home/me" },
        } do
            assert.same(case[3], value_of(('type = "%s"'):format(case[1]), case[2],
                { cwd = "/home/me" }), case[1])
        end
    end)

    it("resolves a path where it was written: the default beside the file", function()
        assert.equal("/srv/app/out", value_of('type = "path", default = "out"'))
        assert.equal("/here/out", value_of('type = "path", default = "x"', "out",
            { cwd = "/here" }))
        assert.equal("/out", value_of('type = "path"', "out", { cwd = "/" }))
    end)

    it("is a list of its own for every one that asks", function()
        local planned = assert(plan([[
            local function get() return param "p" { type = "list", default = { "a" } } end
            table.insert(get(), "b")
            assert(#get() == 1)]]))
        assert.same({ "a" }, planned.params[1].value)
    end)

    it("may have a value of false and of 0", function()
        assert.is_false(value_of('type = "boolean", default = true', "false"))
        assert.equal(0, value_of('type = "integer", default = 3, min = 0', "0"))
    end)
end)

-- { declaration, value given, message }
local GIVEN = {
    { 'type = "integer"', "x", [[parameter 'p': "x" is not a whole number]] },
    { 'type = "integer"', "1.5", [[parameter 'p': "1.5" is not a whole number]] },
    { 'type = "integer"', "0x10", [[parameter 'p': "0x10" is not a whole number]] },
    { 'type = "integer"', "", [[parameter 'p': "" is not a whole number]] },
    { 'type = "integer"', "99999999999999999999",
        [[parameter 'p': "99999999999999999999" is not a whole number]] },
    { 'type = "integer"', {}, [[parameter 'p': a table is not a whole number]] },
    { 'type = "number"', "inf", [[parameter 'p': "inf" is not a number]] },
    { 'type = "number"', "1e5", [[parameter 'p': "1e5" is not a number]] },
    { 'type = "boolean"', "maybe", [[parameter 'p': "maybe" is not true or false]] },
    { 'type = "path"', "", [[parameter 'p': the path is empty]] },
    { 'type = "list"', { "a", {} }, [[parameter 'p': entry 2 must be text, not a table]] },
    { "", "a\0b", [[parameter 'p': contains a NUL byte]] },
    { "", "\255", [[parameter 'p': is not valid UTF-8]] },
    { "", ("x"):rep(65537), [[parameter 'p': 65537 bytes; the limit is 65536]] },
    { "", true, [[parameter 'p': must be text, not true]] },
    { 'choices = { "staging", "prod" }', "pord",
        [[parameter 'p': "pord" is not one of staging, prod (did you mean 'prod'?)]] },
    { 'type = "integer", choices = { 1, 2 }', "3", [[parameter 'p': 3 is not one of 1, 2]] },
    { 'type = "list", choices = { "a", "b" }', "a,c", [[parameter 'p': "c" is not one of a, b]] },
    { 'type = "integer", min = 1, max = 8', "0", [[parameter 'p': 0 is less than 1]] },
    { 'type = "integer", min = 1, max = 8', "9", [[parameter 'p': 9 is more than 8]] },
}

describe("a wrong value", function()
    for _, case in ipairs(GIVEN) do
        it("is a mistake of who gave it: " .. case[3]:sub(1, 60), function()
            local planned, message, code = plan(('local p = param "p" { %s }'):format(case[1]),
                { p = case[2] })
            assert.is_nil(planned)
            assert.same({ case[3], jobs.USAGE }, { message, code })
        end)
    end

    it("of any kind is told with all the others", function()
        local _, message, code = plan([[
            local a = param "a" { required = true }
            local b = "-" .. param "b" { required = true } .. a
            local n = 2 * param "n" { type = "integer", required = true, min = 3 }
            local c = param "c" { choices = { "x", "y" } }]], { c = "z", nn = 1 })
        assert.equal("missing parameter 'a'; give -p a=STRING\n"
            .. "missing parameter 'b'; give -p b=STRING\n"
            .. "missing parameter 'n'; give -p n=INTEGER\n"
            .. 'parameter \'c\': "z" is not one of x, y\n'
            .. "unknown parameter 'nn' (did you mean 'n'?); there are a, b, n, c", message)
        assert.equal(jobs.USAGE, code)
    end)

    it("for a name nobody declares is told with the names there are", function()
        local _, message, code = plan('param "shards" {} param "target" {}', { shrads = "1" })
        assert.equal("unknown parameter 'shrads' (did you mean 'shards'?); there are shards, "
            .. "target",
            message)
        assert.equal(jobs.USAGE, code)
        _, message = plan("", { x = "1" })
        assert.equal("unknown parameter 'x'; the file declares none", message)
    end)

    it("does not hide mistakes of the file", function()
        local _, message, code = plan('param "a" {} jbo "x" {}', { b = "1" })
        assert.equal("jobs.lua:1: undefined variable 'jbo' (did you mean 'job'?)", message)
        assert.is_nil(code)
    end)
end)

-- { declaration after `param "p"`, what follows "jobs.lua:1: " }
local DECLARED = {
    { "{ defualt = 1 }", "parameter 'p': unknown key 'defualt' (did you mean 'default'?)" },
    { '{ "x" }', "parameter 'p': unexpected value at position 1" },
    { '{ type = "interger" }', [[parameter 'p': type: unknown type "interger" (did you mean ]]
        .. "'integer'?); there are boolean, integer, list, number, path, string" },
    { '{ type = "integer", default = "x" }',
        [[parameter 'p': default: "x" is not a whole number]] },
    { '{ default = "c", choices = { "a" } }', [[parameter 'p': default: "c" is not one of a]] },
    { "{ choices = {} }", "parameter 'p': choices: is empty" },
    { '{ type = "int" }', [[parameter 'p': type: unknown type "int" (did you mean 'integer'?); ]]
        .. "there are boolean, integer, list, number, path, string" },
    { '{ choices = "a" }', [[parameter 'p': choices: must be a list, not "a"; write { "a" }]] },
    { '{ choices = { "a", "a" } }', "parameter 'p': choices: 'a' is listed twice" },
    { '{ type = "integer", choices = { "a" } }',
        [[parameter 'p': choices: entry 1 is wrong: "a" is not a whole number]] },
    { '{ required = "yes" }', [[parameter 'p': required: must be true or false, not "yes"]] },
    { '{ required = true, default = "x" }',
        "parameter 'p': required: is of no use with a default" },
    { "{ desc = 5 }", "parameter 'p': desc: must be a string, not 5" },
    { "{ min = 1 }", "parameter 'p': min: is only for integers and numbers" },
    { '{ type = "integer", min = "a" }', [[parameter 'p': min: must be a number, not "a"]] },
    { '{ type = "integer", min = 2, max = 1 }', "parameter 'p': min is more than max" },
    { '{ type = "integer", min = 2, default = 1 }', "parameter 'p': default: 1 is less than 2" },
    { '{ default = secret "env:A" }',
        "parameter 'p': default: must not be a secret: values are stored" },
    { "(5)", [[parameter 'p' needs a table such as { default = "..." }, not 5]] },
    { "", "parameter 'p' was never given its table" },
}

describe("a wrong declaration", function()
    for _, case in ipairs(DECLARED) do
        it("is a mistake of the file: " .. case[2]:sub(1, 70), function()
            local planned, message, code = plan('local p = param "p" ' .. case[1])
            assert.is_nil(planned)
            assert.equal("jobs.lua:1: " .. case[2], message)
            assert.is_nil(code)
        end)
    end

    it("of a name is one, too", function()
        for given, told in pairs {
            ["5"] = "a parameter's name must be a string, not 5",
            ['"a b"'] = 'bad parameter name "a b": 1 to 64 letters, digits, _ and -, not starting '
                .. "with a digit or -",
            ['"p", {}'] = "parameter 'p': write param \"name\" { ... }, without a comma",
        } do
            assert.equal("jobs.lua:1: " .. told, (select(2, plan("param(" .. given .. ") {}"))))
        end
    end)

    it("is one that is not like an earlier one", function()
        assert.truthy(plan('param "p" { default = "a" }\nparam "p" { default = "a", desc = "x" }'))
        assert.equal("jobs.lua:2: parameter 'p': is declared differently at jobs.lua:1", (select(2,
            plan('param "p" { default = "a" }\nparam "p" { default = "b" }'))))
    end)
end)

describe("the plan", function()
    it("describes the parameters", function()
        local planned = assert(plan([[
            param "target" { choices = { "staging", "prod" }, default = "staging", desc = "where" }
            param "n" { type = "integer", min = 1, max = 9, required = true }]], { n = "4" }))
        assert.same({
            { name = "target", type = "string", choices = { "staging", "prod" }, desc = "where",
                default = "staging", required = false, value = "staging", given = false, line = 1,
                file = "jobs.lua" },
            { name = "n", type = "integer", min = 1, max = 9, required = true, value = 4,
                given = true, line = 2, file = "jobs.lua" },
        }, planned.params)
    end)

    it("is there for help, whatever is missing", function()
        local source = 'local p = "" .. param "p" { required = true }\nlocal n = param "n" { '
            .. 'type = "integer", choices = { 3 } }'
        assert.is_nil(plan(source))
        local planned = plan(source, { n = "x" }, { for_help = true })
        assert.same({ "p", "n" }, { planned.params[1].name, planned.params[2].name })
        assert.equal("a", planned.jobs[1].name)
        assert.is_nil(planned.problems)
        planned = plan(source .. '\nassert(p == "good", "p must be good")', nil,
            { for_help = true })
        assert.equal(2, #planned.params)
        assert.same({}, planned.jobs)
        assert.equal("jobs.lua:3: p must be good", planned.problems)
        assert.is_nil(plan("local x = (", nil, { for_help = true }))
    end)

    it("is there for a check although required values are missing, but not wrong ones", function()
        local source = 'param "p" { required = true } param "n" { type = "integer" }'
        assert.truthy(plan(source, nil, { missing_ok = true }))
        assert.equal([[parameter 'n': "x" is not a whole number]],
            (select(2, plan(source, { n = "x" }, { missing_ok = true }))))
    end)
end)
