-- matrix: combinations, names, variables, include and exclude, and what is refused.

local jobs = require "queuectl.jobs"
local matrix = require "queuectl.jobs.matrix"

local function labels(given)
    local combos, message = matrix.expand(given)
    assert.is_nil(message)
    local result = {}
    for i, combo in ipairs(combos) do result[i] = combo.label end
    return result
end

describe("a matrix", function()
    it("has every combination, keys sorted, the last key changing fastest", function()
        assert.same({ "[db=sqlite,lua=5.1]", "[db=sqlite,lua=jit]", "[db=pg,lua=5.1]",
            "[db=pg,lua=jit]" }, labels { lua = { "5.1", "jit" }, db = { "sqlite", "pg" } })
    end)

    it("takes strings, numbers and booleans", function()
        assert.same({ "[a=1]", "[a=0.1]", "[a=true]", "[a=false]", "[a=]", "[a=x y]" },
            labels { a = { 1, 0.1, true, false, "", "x y" } })
    end)

    it("keeps the values as they were given", function()
        local combo = matrix.expand { a = { 1 }, b = { true } }[1]
        assert.same({ a = 1, b = true }, combo.values)
        assert.same({ MATRIX_A = "1", MATRIX_B = "true" }, combo.env)
    end)

    it("leaves out what an exclude entry matches, wholly or in part", function()
        assert.same({ "[db=sqlite,lua=5.1]", "[db=sqlite,lua=jit]", "[db=pg,lua=jit]" },
            labels { lua = { "5.1", "jit" }, db = { "sqlite", "pg" },
                exclude = { { db = "pg", lua = "5.1" } } })
        assert.same({ "[db=sqlite,lua=5.1]", "[db=sqlite,lua=jit]" },
            labels { lua = { "5.1", "jit" }, db = { "sqlite", "pg" },
                exclude = { { db = "pg" } } })
    end)

    it("adds an include entry to the combinations it fits", function()
        assert.same({ "[db=sqlite]", "[db=pg,port=5432]" },
            labels { db = { "sqlite", "pg" }, include = { { db = "pg", port = 5432 } } })
        assert.same({ "[color=red,db=sqlite]", "[color=red,db=pg]" },
            labels { db = { "sqlite", "pg" }, include = { { color = "red" } } })
    end)

    it("makes a combination of an include entry that fits none", function()
        assert.same({ "[db=sqlite]", "[db=pg]", "[db=mysql]" },
            labels { db = { "sqlite", "pg" }, include = { { db = "mysql" } } })
        assert.same({ "[a=1]", "[a=2,b=3]" }, labels { include = { { a = 1 }, { a = 2, b = 3 } } })
    end)

    it("does as GitHub's own example says", function()
        assert.same({
            "[animal=cat,color=pink,fruit=apple,shape=circle]",
            "[animal=cat,color=pink,fruit=pear]",
            "[animal=dog,color=green,fruit=apple,shape=circle]",
            "[animal=dog,color=green,fruit=pear]",
            "[fruit=banana]", "[animal=cat,fruit=banana]",
        }, labels {
            animal = { "cat", "dog" }, fruit = { "apple", "pear" },
            include = {
                { color = "green" }, { color = "pink", animal = "cat" },
                { fruit = "apple", shape = "circle" }, { fruit = "banana" },
                { fruit = "banana", animal = "cat" },
            },
        })
    end)
end)

describe("a wrong matrix", function()
    local cases = {
        { 5, 'must be a table of lists, such as { db = { "sqlite", "pg" } }, not 5' },
        { {}, "is empty" },
        { { { "a" } }, "bad key 1: letters, digits and _" },
        { { ["a-b"] = { 1 } }, "bad key 'a-b': letters, digits and _" },
        { { db = "pg" }, "'db' must be a list of values, such as { \"a\", \"b\" }" },
        { { db = { x = "pg" } }, "'db' must be a list of values, such as { \"a\", \"b\" }" },
        { { db = {} }, "'db' has no values" },
        { { db = { "a", {} } }, "'db': value 2 must be a string, number or boolean, not a table" },
        { { db = { "a\nb" } }, "'db': value 1 contains a control character" },
        { { db = { "\255" } }, "'db': value 1 is not valid UTF-8" },
        { { db = { 0 / 0 } }, "'db': value 1 is not a finite number" },
        { { db = { "a", "a" } }, "'db' has 'a' twice" },
        { { db = { 1, "1" } }, "'db' has '1' twice" },
        { { db = { 1 }, DB = { 2 } }, "two keys become MATRIX_DB" },
        { { db = { 1 }, exclude = { { db = 1 } } }, "no combination is left" },
        { { db = { 1 }, exclude = { db = 1 } },
            "exclude must be a list of tables, such as { { db = \"pg\" } }" },
        { { db = { 1 }, exclude = { "pg" } },
            'exclude: entry 1 must be a table such as { db = "pg" }, not "pg"' },
        { { db = { 1 }, exclude = { {} } }, "exclude: entry 1 is empty" },
        { { db = { "pg" }, exclude = { { bd = "pg" } } },
            "exclude: entry 1: unknown key 'bd' (did you mean 'db'?)" },
        { { db = { "mysql" }, exclude = { { db = "mysq" } } },
            "exclude: entry 1: 'mysq' is not a value of 'db' (did you mean 'mysql'?)" },
        { { db = { 1 }, include = { { db = {} } } },
            "include: entry 1: 'db' must be a string, number or boolean, not a table" },
        { { db = { 1 }, include = { { ["a b"] = 1 } } },
            "include: entry 1: bad key 'a b': letters, digits and _" },
        { { include = {} }, "no combination is left" },
        { { include = { { a = 1 }, { a = 1 } } }, "two combinations are [a=1]" },
    }
    for i, case in ipairs(cases) do
        it(("%d is told: %s"):format(i, case[2]), function()
            local combos, message = matrix.expand(case[1])
            assert.is_nil(combos)
            assert.equal(case[2], message)
        end)
    end

    it("of too many combinations is refused before they are made", function()
        local axis = {}
        for i = 1, 100 do axis[i] = i end
        assert.equal(10000, #matrix.expand { a = axis, b = axis })
        assert.equal("10000000000 combinations; the limit is 10000",
            select(2, matrix.expand { a = axis, b = axis, c = axis, d = axis, e = axis }))
    end)
end)

describe("a matrix job", function()
    local function plan(source)
        return jobs.plan(source, "/srv/jobs.lua", { display = "jobs.lua" })
    end

    it("becomes one job per combination", function()
        local planned = plan [[
            job "test" {
                run = { "busted" }, env = { A = "1" },
                matrix = { db = { "sqlite", "pg" }, lua = { "jit" } },
            }]]
        assert.equal(2, #planned.jobs)
        assert.equal("test[db=sqlite,lua=jit]", planned.jobs[1].name)
        assert.equal("test[db=pg,lua=jit]", planned.jobs[2].name)
        assert.same({ { name = "A", value = "1" }, { name = "MATRIX_DB", value = "pg" },
            { name = "MATRIX_LUA", value = "jit" } }, planned.jobs[2].env)
        assert.same({ 1, 1 }, { planned.jobs[1].line, planned.jobs[2].line })
    end)

    it("keeps numbers of 54 bits", function()
        assert.equal("a[n=9007199254740991]",
            plan('job "a" { run = "x", matrix = { n = { 2^53 - 1 } } }').jobs[1].name)
    end)

    local function refused(source, message)
        assert.equal(message, select(2, plan(source)))
    end

    it("must not set the matrix's variables itself", function()
        refused('job "a" { run = "x", matrix = { k = { 1 } }, env = { MATRIX_K = "2" } }',
            "jobs.lua:1: job 'a': env: MATRIX_K is set by the matrix")
    end)

    it("must not make a name that another job has", function()
        refused('job "a[k=1]" { run = "x" }\njob "a" { run = "x", matrix = { k = { 1 } } }',
            "jobs.lua:2: job 'a': its instance 'a[k=1]' is also the job at line 1")
        refused('job "a" { run = "x", matrix = { k = { "1][l=2" } } }\n'
            .. 'job "a[k=1]" { run = "x", matrix = { l = { 2 } } }',
            "jobs.lua:2: job 'a[k=1]': its instance 'a[k=1][l=2]' is also the job at line 1")
    end)

    it("must not make names that are too long", function()
        refused('job(("n"):rep(190)) { run = "x", matrix = { key = { "12345" } } }',
            ("jobs.lua:1: job '%s...': the name of its instance '%s...' is 201 bytes long; "
                .. "the limit is 200"):format(("n"):rep(60), ("n"):rep(60)))
    end)

    it("cannot need itself, nor one of its instances", function()
        refused('job "a" { run = "x", needs = "a", matrix = { k = { 1, 2 } } }',
            "jobs.lua:1: job 'a' needs itself")
        refused('job "a" { run = "x", needs = "a[k=1]", matrix = { k = { 1, 2 } } }',
            "jobs.lua:1: job 'a' needs itself")
    end)

    it("is defined once", function()
        refused('job "a" { run = "x", matrix = { k = { 1 } } }\n'
            .. 'job "a" { run = "x", matrix = { k = { 1 } } }',
            "jobs.lua:2: job 'a' is already defined at line 1")
    end)
end)
