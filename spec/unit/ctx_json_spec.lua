-- ctx.json: what goes in comes out again, and what JSON cannot carry is an error with its place.

local json = require "queuectl.jobs.ctx.json"
local job_host = require "unit.job_host"

local function encode(value, options)
    return json.encode(nil, value, options)
end

local function decode(text)
    return json.decode(nil, text)
end

local function problem(value)
    local text, message = encode(value)
    assert.is_nil(text)
    return message
end

describe("ctx.json.encode", function()
    local same = {
        { "null", json.null }, { "true", true }, { "0", -0 }, { "0.1", 0.1 }, { "1e+300", 1e300 },
        { "9007199254740992", 2 ^ 53 },
        { '"a\\"\\\\\\n\\t\\u0001\\u007f\\u0085/é"', 'a"\\\n\t\1\127\194\133/é' },
        { "[1,[2],{}]", { 1, { 2 }, {} } }, { "{}", {} },
        { '{"a":1,"b":{"c":[true,null]}}', { b = { c = { true, json.null } }, a = 1 } },
    }
    for _, case in ipairs(same) do
        it("gives " .. case[1], function()
            assert.equal(case[1], encode(case[2]))
        end)
    end

    it("sorts keys, so that the same value is the same text", function()
        local value = {}
        for i = 1, 200 do value["k" .. (i * 7919 % 200)] = i end
        local text = encode(value)
        local copy = {}
        for i = 200, 1, -1 do copy["k" .. (i * 7919 % 200)] = i end
        assert.equal(text, encode(copy))
    end)

    it("can be made for people", function()
        assert.equal('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}',
            encode({ a = { 1, {} }, b = json.list(nil, {}) }, { pretty = true }))
    end)

    local wrong = {
        { { a = { 1, nil, 3 } }, "'a' is a list with holes (2 entries, the last is number 3): "
            .. "put ctx.json.null there" },
        { { 1, x = 2 }, "the value has numbered entries and the key 'x': JSON has lists and "
            .. "objects, nothing between" },
        { { [0] = 1 }, "the value has the key 0: a list counts from 1, the keys of an object are "
            .. "strings" },
        { { [1.5] = 1 }, "the value has the key 1.5: a list counts from 1, the keys of an object "
            .. "are strings" },
        { { [true] = 1 }, "the value has true as a key: keys are strings" },
        { { a = { { b = print } } }, "'a[1].b' is a function, which JSON cannot carry" },
        { { 0 / 0 }, "'[1]' is not a finite number: nan" },
        { { a = math.huge }, "'a' is not a finite number: inf" },
        { { a = "\255" }, "'a' is not valid UTF-8, which JSON must be; encode the bytes first" },
        { { ["\255"] = 1 }, "'\\xff' is not valid UTF-8, which JSON must be; "
            .. "encode the bytes first" },
        { io.stdout, "the value is a userdata, which JSON cannot carry" },
    }
    for _, case in ipairs(wrong) do
        it("refuses: " .. case[2], function()
            assert.equal(case[2], problem(case[1]))
        end)
    end

    it("refuses nil, and a table in itself", function()
        assert.equal("the value is nil, which JSON cannot carry; write ctx.json.null", problem(nil))
        local loop = {}
        loop.loop = loop
        assert.matches("is nested deeper than 100 tables; does one contain itself%?$",
            problem(loop))
    end)

    it("refuses unknown options", function()
        local _, message = encode(1, { prety = true })
        assert.equal("unknown option 'prety' (did you mean 'pretty'?)", message)
    end)
end)

describe("ctx.json.decode", function()
    it("gives back what was encoded", function()
        for _, text in ipairs {
            "null", "1", '"x"', "[]", "{}", "[[]]", '{"a":[],"b":{}}', '{"a":[{},[],[1]]}',
            '["[]","[]0",[]]', '["\\"[]",[],"\\\\",[]]', '{"[]":[]}', '[null,false,{"x":null}]',
        } do
            assert.equal(text, encode(decode(text)), text)
        end
    end)

    it("reads empty lists however they are written", function()
        local value = decode ' { "a" : [ \n ] , "b" : [ [\t] , 1 ] } '
        assert.equal('{"a":[],"b":[[],1]}', encode(value))
    end)

    it("gives the same for any value", function()
        local state = 12345
        local function random(n)
            state = (state * 1103515245 + 12345) % 2 ^ 31
            return math.floor(state / 65536) % n
        end
        local function value(depth)
            local kind = random(depth > 4 and 5 or 7)
            if kind == 0 then return random(1000) - 500 end
            if kind == 1 then return random(1000) / 8 end
            if kind == 2 then return random(2) == 0 end
            if kind == 3 then return json.null end
            if kind == 4 then return (("[]\"\\ é\n"):rep(3)):sub(random(3) + 1, 8) end
            local made = {}
            for i = 1, random(4) do
                made[kind == 5 and i or "k" .. i] = value(depth + 1)
            end
            return kind == 5 and json.list(nil, made) or made
        end
        for _ = 1, 500 do
            local text = encode { value(0) }
            assert.equal(text, encode(decode(text)))
            local pretty = encode(decode(text), { pretty = true })
            assert.equal(text, encode(decode(pretty)))
        end
    end)

    it("says where the text is wrong", function()
        for text, message in pairs {
            [""] = "Expected value but found T_END at line 1, column 1",
            ['{"a":\n  tru}'] = "Expected value but found invalid token at line 2, column 3",
            ["[1,]"] = "Expected value but found T_ARR_END at line 1, column 4",
            ["[NaN]"] = "Expected value but found invalid token at line 1, column 2",
        } do
            local value, told = decode(text)
            assert.is_nil(value)
            assert.equal(message, told)
        end
        assert.equal("takes a text, not nil", select(2, decode(nil)))
    end)

    it("takes no longer for a long line", function()
        local text = "[" .. ("1,"):rep(500000) .. "tru]"
        local _, message = decode(text)
        assert.equal("Expected value but found invalid token at line 1, column 1000002", message)
    end)
end)

describe("ctx.json in a job", function()
    it("raises at the job's line", function()
        local host = job_host.run "ctx.json.decode('{')"
        assert.matches("^jobs.lua:2: ctx.json.decode: Expected object key", host.value)
        assert.same({ t = "[]" },
            job_host.run("return { t = ctx.json.encode(ctx.json.list {}) }").outputs)
        assert.same({ t = "null" },
            job_host.run("return { t = ctx.json.encode(ctx.json.null) }").outputs)
    end)
end)
