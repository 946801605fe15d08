local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core

ffi.cdef [[
struct mask;
struct mask_stretch { size_t from, to; };
struct mask_stream {
    struct buf held; struct mask_stretch *stretches; size_t stretches_len, stretches_cap;
    uint32_t state; bool inside;
};
struct mask *mask_new(void);
void mask_add(struct mask *m, const char *value, size_t len);
bool mask_seal(struct mask *m);
void mask_free(struct mask *m);
void mask_put(const struct mask *m, struct mask_stream *s, const char *p, size_t len,
              struct buf *out);
void mask_end(struct mask_stream *s, struct buf *out);
void mask_stream_free(struct mask_stream *s);
char *mask_text(const struct mask *m, const char *text, bool cut);
]]

local function new_mask(values)
    local m = ffi.gc(core.mask_new(), core.mask_free)
    for _, value in ipairs(values) do core.mask_add(m, value, #value) end
    return m, core.mask_seal(m)
end

-- The chunks through one stream: all that was given, and what each chunk gave at once.
local function through(m, chunks)
    local stream = ffi.gc(ffi.new("struct mask_stream"), core.mask_stream_free)
    local out = ffi.gc(ffi.new("struct buf"), core.buf_free)
    local at_once, seen = {}, 0
    local function given()
        local text = out.data ~= nil and ffi.string(out.data, out.len) or ""
        local new = text:sub(seen + 1)
        seen = #text
        return new
    end
    for i, chunk in ipairs(chunks) do
        core.mask_put(m, stream, chunk, #chunk, out)
        at_once[i] = given()
    end
    core.mask_end(stream, out)
    at_once[#chunks + 1] = given()
    return table.concat(at_once), at_once
end

-- What to look for, by the rule in mask.h, and the obvious way of taking it out.
local function looked_for(values)
    local all = {}
    for _, value in ipairs(values) do
        if #value >= 4 then all[#all + 1] = value end
        if value:find("\n", 1, true) then
            for line in value:gmatch("[^\n]+") do
                line = line:gsub("\r$", "")
                if #line >= 8 then all[#all + 1] = line end
            end
        end
    end
    return all
end

local function naive(values, text)
    local covered = {}
    for _, value in ipairs(looked_for(values)) do
        local at = 1
        while true do
            local from, to = text:find(value, at, true)
            if not from then break end
            for i = from, to do covered[i] = true end
            at = from + 1
        end
    end
    local parts = {}
    for i = 1, #text do
        if not covered[i] then
            parts[#parts + 1] = text:sub(i, i)
        elseif not covered[i - 1] then
            parts[#parts + 1] = "***"
        end
    end
    return table.concat(parts)
end

local function cut_up(r, text)
    local chunks, at = {}, 1
    while at <= #text do
        local n = r(1, r(1, 9))
        chunks[#chunks + 1] = text:sub(at, at + n - 1)
        at = at + n
    end
    return chunks
end

local function masked(values, text) return (through(new_mask(values), { text })) end

describe("mask", function()
    it("puts *** in place of each value", function()
        assert.equal("a *** b *** ***\n",
                     masked({ "hunter2!", "s3cret" }, "a hunter2! b s3cret hunter2!\n"))
    end)

    it("leaves short values and what only begins like one", function()
        assert.equal("abc hunt hunter2 abc", masked({ "abc", "hunter2!" }, "abc hunt hunter2 abc"))
    end)

    it("hides all of values that overlap, or stand in each other", function()
        assert.equal("x***y", masked({ "abcd", "cdefgh" }, "xabcdefghy"))
        assert.equal("x***y***", masked({ "abcdefgh", "cdef" }, "xabcdefghycdef"))
        assert.equal("***", masked({ "aaaa" }, "aaaaaaaaa"))
        assert.equal("abcd***", masked({ "abcdX123", "dX12" }, "abcddX12"))
    end)

    it("hides the lines of a value of several lines, the short ones not", function()
        local key = "-----BEGIN KEY-----\r\nMIIEow0001\nab\n=="
        assert.equal("  ***\n  ***\n  ab\n***",
                     masked({ key }, "  -----BEGIN KEY-----\n  MIIEow0001\n  ab\n" .. key))
    end)

    it("takes any bytes", function()
        assert.equal("\0***\255", masked({ "\0\1\255\254" }, "\0\0\1\255\254\255"))
    end)

    it("has nothing to look for without values", function()
        local _, any = new_mask {}
        assert.is_false(any)
        _, any = new_mask { "abc", "" }
        assert.is_false(any)
        _, any = new_mask { "abcd" }
        assert.is_true(any)
    end)

    it("holds back no more than what may be a beginning", function()
        local m = new_mask { "hunter2!" }
        local _, at_once = through(m, { "a hun", "t", "s hunte", "r2!hunter", "2", "" })
        assert.same({ "a ", "", "hunts ", "***", "", "", "hunter2" }, at_once)
    end)

    it("says *** once for a value that is given in parts", function()
        local m = new_mask { "abcd", "cdefghij" }
        local all, at_once = through(m, { "abcd", "efg", "hij." })
        assert.equal("***.", all)
        assert.same({ "***", "", ".", "" }, at_once)
        assert.equal("***ef", (through(m, { "ab", "cde", "f" })))
    end)

    it("is the naive way, however the text comes", function()
        local r = t.rng()
        local alphabets = { "ab", "abc\n", "abcdef \n\r" }
        for _ = 1, 400 do
            local letters = alphabets[r(1, #alphabets)]
            local function word(max)
                local chars = {}
                for i = 1, r(0, max) do
                    local k = r(1, #letters)
                    chars[i] = letters:sub(k, k)
                end
                return table.concat(chars)
            end
            local values, parts = {}, {}
            for i = 1, r(1, 5) do values[i] = word(r(4, 24)) end
            for i = 1, r(0, 30) do
                parts[i] = r(1, 3) == 1 and values[r(1, #values)] or word(12)
            end
            local text = table.concat(parts)
            local want, m = naive(values, text), new_mask(values)
            assert.equal(want, (through(m, { text })))
            assert.equal(want, (through(m, cut_up(r, text))))
        end
    end)

    it("does not slow down where everything is a value", function()
        local value = ("a"):rep(20000)
        local m = new_mask { value, value .. "b" }
        assert.equal("***", (through(m, { ("a"):rep(3000000) })))
    end)

    it("masks a text by itself, and its end where it was cut", function()
        local m = new_mask { "hunter2!" }
        local function text(s, cut)
            local p = core.mask_text(m, s, cut)
            local got = ffi.string(p)
            ffi.C.free(p)
            return got
        end
        assert.equal("is ***, hunte", text("is hunter2!, hunte", false))
        assert.equal("is ***, ***", text("is hunter2!, hunte", true))
        assert.equal("hun", text("hun", true))
        assert.equal("", text("", true))
    end)
end)
