local ffi = require "ffi"
local core = require("support.store").core

ffi.cdef [[
struct spawn_limits { int64_t memory_bytes, cpu_s; int32_t files, nice; };
enum spawn_limit { LIMIT_NONE, LIMIT_MEMORY, LIMIT_CPU, LIMIT_FILES, LIMIT_NICE };
int spawn_limits_parse(const char *text, struct spawn_limits *out);
char *spawn_limits_words(const struct spawn_limits *l, enum spawn_limit which);
char *duration_text(int64_t ms);
]]

local function parse(text)
    local l = ffi.new("struct spawn_limits")
    if core.spawn_limits_parse(text, l) < 0 then return nil end
    return { tonumber(l.memory_bytes), tonumber(l.cpu_s), l.files, l.nice }, l
end

local function taken(p)
    local text = ffi.string(p)
    ffi.C.free(p)
    return text
end

describe("limits", function()
    it("are read from their stored form", function()
        assert.same({ 0, 0, 0, 0 }, (parse(nil)))
        assert.same({ 2147483648, 600, 1024, -5 }, (parse "2147483648 600 1024 -5"))
        assert.same({ 0, 0, 0, 19 }, (parse "0 0 0 19"))
    end)

    it("are not read from anything else", function()
        for _, text in ipairs { "", "1", "1 2 3", "1 2 3 4 5", "-1 0 0 0", "0 -1 0 0", "0 0 -1 0",
                                "0 0 0 20", "0 0 0 -21", "a b c d", "0 0 3000000000 0",
                                "99999999999999999999 0 0 0", "0 0 0 0x" } do
            assert.is_nil((parse(text)), text)
        end
    end)

    it("have words", function()
        local _, l = parse "2147483648 600 1024 -5"
        local words = {}
        for i = 1, 4 do words[i] = taken(core.spawn_limits_words(l, i)) end
        assert.same({ "memory 2G", "cpu 10m", "files 1024", "nice -5" }, words)
        _, l = parse "1000 0 0 0"
        assert.equal("memory 1000", taken(core.spawn_limits_words(l, 1)))
        _, l = parse "1536 0 0 0"
        assert.equal("memory 1536", taken(core.spawn_limits_words(l, 1)))
        _, l = parse "3145728 0 0 0"
        assert.equal("memory 3M", taken(core.spawn_limits_words(l, 1)))
    end)
end)

describe("a duration", function()
    it("is written as in a jobs file", function()
        for ms, text in pairs {
            [0] = "0s", [1] = "1ms", [250] = "250ms", [1000] = "1s", [1500] = "1.5s",
            [60000] = "1m", [61001] = "1m1.001s", [60250] = "1m250ms", [600000] = "10m",
            [3600000] = "1h", [5400000] = "1h30m", [90061000] = "1d1h1m1s",
        } do
            assert.equal(text, taken(core.duration_text(ms)))
        end
    end)

    it("is written as Lua does it", function()
        local time = dofile "lua/queuectl/time.lua"
        local r = require("support").rng()
        for _ = 1, 300 do
            local ms = r(0, 3) == 0 and r(0, 3000) or r(0, 200000000)
            assert.equal(time.format_duration(ms), taken(core.duration_text(ms)))
        end
    end)
end)
