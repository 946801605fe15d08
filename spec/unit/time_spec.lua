-- Durations and points in time: what is read, what is refused and with which words.

local ffi = require "ffi"
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

ffi.cdef [[
int setenv(const char *, const char *, int);
int unsetenv(const char *);
void tzset(void);
]]

describe("time.parse_instant", function()
    local before = os.getenv "TZ"

    local function use_zone(zone)
        if zone then ffi.C.setenv("TZ", zone, 1) else ffi.C.unsetenv "TZ" end
        ffi.C.tzset()
    end

    -- The rules of Berlin, so that no zone file is needed.
    before_each(function() use_zone "CET-1CEST,M3.5.0,M10.5.0/3" end)
    after_each(function() use_zone(before) end)

    local function utc(seconds)
        return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds))
    end

    -- Wednesday, 2026-03-25, 15:30:00 in Berlin
    local NOW = 1774449000

    local good = {
        { "2030-01-31T09:00:00Z", "2030-01-31T09:00:00" },
        { "2030-01-31t09:00z", "2030-01-31T09:00:00" },
        { "2030-01-31 09:00:30.5+02:00", "2030-01-31T07:00:30" },
        { "2030-01-31T09:00-0530", "2030-01-31T14:30:00" },
        { "2030-01-31T00:30 +01", "2030-01-30T23:30:00" },
        { "2028-02-29T12:00Z", "2028-02-29T12:00:00" },
        { "1969-12-31T23:59:59Z", "1969-12-31T23:59:59" },
        { "2030-01-31T09:00:00", "2030-01-31T08:00:00" },
        { "2030-07-31 9:00", "2030-07-31T07:00:00" },
        { "2030-01-31", "2030-01-30T23:00:00" },
        { "15:30", "2026-03-25T14:30:00" },
        { "15:29", "2026-03-26T14:29:00" },
        { "15:29:59", "2026-03-26T14:29:59" },
        { "18:00", "2026-03-25T17:00:00" },
        { "today 18:00", "2026-03-25T17:00:00" },
        { "today 00:00", "2026-03-24T23:00:00" },
        { "Tomorrow 09:00", "2026-03-26T08:00:00" },
        { "tomorrow", "2026-03-25T23:00:00" },
        { "fri 17:00", "2026-03-27T16:00:00" },
        { "Friday 17:00", "2026-03-27T16:00:00" },
        { "wed 15:30", "2026-03-25T14:30:00" },
        { "wed 15:00", "2026-04-01T13:00:00" },
        { "wed", "2026-03-31T22:00:00" },
        { "sun 12:00", "2026-03-29T10:00:00" },
        { "in 5m", "2026-03-25T14:35:00" },
        { "in 1h30m", "2026-03-25T16:00:00" },
        { "@0", "1970-01-01T00:00:00" },
        { "@1774449000.25", "2026-03-25T14:30:00" },
        -- 02:00 to 03:00 is left out on the 29th, and shown twice on 2026-10-25
        { "2026-03-29 01:59", "2026-03-29T00:59:00" },
        { "2026-03-29 02:30", "2026-03-29T01:30:00" },
        { "2026-03-29 03:00", "2026-03-29T01:00:00" },
        { "2026-10-25 02:30", "2026-10-25T00:30:00" },
        { "2026-10-25 03:00", "2026-10-25T02:00:00" },
    }
    for _, case in ipairs(good) do
        it("reads " .. case[1], function()
            local seconds, message = time.parse_instant(case[1], NOW)
            assert.is_nil(message)
            assert.equal(case[2], utc(seconds))
        end)
    end

    it("keeps fractions of a second", function()
        assert.equal(0.5, time.parse_instant("2030-01-31T09:00:30.5Z", NOW) % 1)
        assert.equal(0.25, time.parse_instant("@1774449000.25", NOW) % 1)
        assert.equal(NOW + 0.75, time.parse_instant("in 750ms", NOW))
    end)

    it("counts a day over a change of the clocks as a day, not as 24 hours", function()
        local saturday = time.parse_instant("2026-03-28 12:00", NOW)
        assert.equal(saturday + 23 * 3600, time.parse_instant("tomorrow 12:00", saturday))
        assert.equal(saturday + 23 * 3600, time.parse_instant("12:00", saturday + 1))
    end)

    it("agrees with the system about every day and hour", function()
        math.randomseed(5)
        for _ = 1, 2000 do
            local seconds = math.random(0, 4000000000)
            assert.equal(seconds, time.parse_instant(utc(seconds) .. "Z", NOW))
            local text = os.date("%Y-%m-%d %H:%M:%S", seconds)
            local read = time.parse_instant(text, NOW)
            assert.is_true(read == seconds or read == seconds - 3600, text)
            assert.equal(text, os.date("%Y-%m-%d %H:%M:%S", read))
        end
    end)

    local FORMS = 'write "18:00", "tomorrow 09:00", "fri 17:00", "2030-01-31 09:00", '
        .. '"2030-01-31T09:00:00Z", "in 5m" or "@SECONDS"'
    local bad = {
        { "25:00", "there is no hour 25" },
        { "24:00", "there is no hour 24" },
        { "12:60", "there is no minute 60" },
        { "12:00:60", "there is no second 60" },
        { "2030-13-01", "there is no month 13" },
        { "2030-00-01", "there is no month 00" },
        { "2030-02-29", "there is no day 29 in 2030-02" },
        { "2100-02-29 12:00", "there is no day 29 in 2100-02" },
        { "2030-01-31T09:00+15:00", "there is no time zone +15:00" },
        { "2030-01-31T25:00Z", "there is no hour 25" },
        { "tomorrow 25:00", "there is no hour 25" },
        { "in 5 parsecs", 'bad duration "5 parsecs"' },
        { "in -5m", 'bad duration "-5m"' },
        { "@99999999999999", "too far away" },
        { "", FORMS }, { "now", FORMS }, { "9am", FORMS }, { "18", FORMS }, { "tomorow 9:00",
            FORMS },
        { "2030-1-31", FORMS }, { "2030-01-31T", FORMS }, { "2030-01-31T09:00 Berlin", FORMS },
        { "fri17:0", FORMS }, { "@", FORMS }, { "@-5", FORMS }, { " 18:00", FORMS },
        { "2030-01-31 09:00\n", FORMS }, { "yesterday 10:00", FORMS },
    }
    for _, case in ipairs(bad) do
        it(("refuses %q"):format(case[1]), function()
            local seconds, message = time.parse_instant(case[1], NOW)
            assert.is_nil(seconds)
            assert.equal(('bad time "%s": %s'):format(case[1]:gsub("\n", "\\n"), case[2]), message)
        end)
    end

    it("refuses what is no text", function()
        assert.equal('must be a time such as "18:00", not nil',
            select(2, time.parse_instant(nil, NOW)))
    end)
end)
