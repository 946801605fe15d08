-- Durations: what is read, what is refused and with which words, and that writing reads back.

local time = require "queuectl.time"

describe("time.parse_duration", function()
    local good = {
        { "90s", 90000 }, { "5m", 300000 }, { "1h30m", 5400000 }, { "250ms", 250 },
        { "2d", 172800000 }, { "90", 90000 }, { "1.5", 1500 }, { "0", 0 }, { "0s", 0 },
        { 0, 0 }, { 5, 5000 }, { 0.25, 250 }, { 1.0004, 1000 }, { "1.5h", 5400000 },
        { "1d2h3m4s5ms", 93784005 }, { "007s", 7000 }, { "36500d", time.LONGEST_MS },
        { "1ms", 1 }, { 0.001, 1 },
    }
    for _, case in ipairs(good) do
        it("reads " .. tostring(case[1]), function()
            assert.equal(case[2], time.parse_duration(case[1]))
        end)
    end

    local bad = {
        { "5 parsecs", 'bad duration "5 parsecs"' },
        { "", 'bad duration ""' },
        { "none", 'bad duration "none"' },
        { "5q", 'bad duration "5q"' },
        { "1ns", 'bad duration "1ns"' },
        { "1h30", 'bad duration "1h30"' },
        { "30m1h", 'bad duration "30m1h"' },
        { "1m1m", 'bad duration "1m1m"' },
        { "5M", 'bad duration "5M"' },
        { " 5s", 'bad duration " 5s"' },
        { "5s ", 'bad duration "5s "' },
        { "1h 30m", 'bad duration "1h 30m"' },
        { "5.s", 'bad duration "5.s"' },
        { ".5s", 'bad duration ".5s"' },
        { "1.2.3s", 'bad duration "1.2.3s"' },
        { "0x10", 'bad duration "0x10"' },
        { "1e3", 'bad duration "1e3"' },
        { "-1", 'bad duration "-1"' },
        { "-5s", 'bad duration "-5s"' },
        { "+5", 'bad duration "+5"' },
        { "inf", 'bad duration "inf"' },
        { "nan", 'bad duration "nan"' },
        { "s", 'bad duration "s"' },
        { "5\n", 'bad duration "5\\n"' },
        { "5\0", 'bad duration "5\\x00"' },
        { -1, "bad duration -1" },
        { -0.5, "bad duration -0.5" },
        { 0 / 0, "bad duration nan" },
        { math.huge, "bad duration inf" },
        { -math.huge, "bad duration -inf" },
        { 9e18, "bad duration 9e+18: longer than 36500d" },
        { "36501d", 'bad duration "36501d": longer than 36500d' },
        { "9e18", 'bad duration "9e18"' },
        { ("9"):rep(400), 'bad duration "' .. ("9"):rep(60) .. '...": longer than 36500d' },
        { 0.0001, "bad duration 0.0001: shorter than 1ms" },
        { "0.1ms", 'bad duration "0.1ms": shorter than 1ms' },
        { true, 'must be a duration such as "90s" or a number of seconds, not a boolean' },
        { {}, 'must be a duration such as "90s" or a number of seconds, not a table' },
        { 5LL, 'must be a duration such as "90s" or a number of seconds, not a cdata' },
    }
    for i, case in ipairs(bad) do
        it(("refuses %d: %s"):format(i, case[2]), function()
            local ms, message = time.parse_duration(case[1])
            assert.is_nil(ms)
            assert.equal(case[2], message)
        end)
    end

    it("refuses nil", function()
        assert.equal('must be a duration such as "90s" or a number of seconds, not nil',
            select(2, time.parse_duration(nil)))
    end)
end)

describe("time.format_duration", function()
    local cases = {
        { 0, "0s" }, { 1, "1ms" }, { 250, "250ms" }, { 1000, "1s" }, { 1500, "1.5s" },
        { 60000, "1m" }, { 90000, "1m30s" }, { 5400000, "1h30m" }, { 172800000, "2d" },
        { 86400001, "1d1ms" }, { 61005, "1m1.005s" },
    }
    for _, case in ipairs(cases) do
        it(("of %d is %s"):format(case[1], case[2]), function()
            assert.equal(case[2], time.format_duration(case[1]))
        end)
    end

    it("is read back to the same number", function()
        math.randomseed(11)
        for _ = 1, 2000 do
            local ms = math.floor(10 ^ (math.random() * 12))
            local str = time.format_duration(ms)
            assert.equal(ms, time.parse_duration(str), str)
        end
    end)
end)
