local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core

local function buf() return ffi.gc(ffi.new("struct buf"), core.buf_free) end
local function text_of(b) return ffi.string(b.data, b.len) end

local function escape(text, max)
    local p = core.text_escape(text, #text, max or 1000)
    local out = ffi.string(p)
    ffi.C.free(p)
    return out
end

local function json(text)
    local b = buf()
    core.buf_json(b, text, #text)
    return text_of(b)
end

-- UTF-8 by the table of RFC 3629, as ranges of bytes.
local SEQUENCES = {
    { { 0x00, 0x7f } }, { { 0xc2, 0xdf }, { 0x80, 0xbf } },
    { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, { 0x80, 0xbf } },
    { { 0xe1, 0xec }, { 0x80, 0xbf }, { 0x80, 0xbf } },
    { { 0xed, 0xed }, { 0x80, 0x9f }, { 0x80, 0xbf } },
    { { 0xee, 0xef }, { 0x80, 0xbf }, { 0x80, 0xbf } },
    { { 0xf0, 0xf0 }, { 0x90, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } },
    { { 0xf1, 0xf3 }, { 0x80, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } },
    { { 0xf4, 0xf4 }, { 0x80, 0x8f }, { 0x80, 0xbf }, { 0x80, 0xbf } },
}

local function naive_utf8(text)
    for _, sequence in ipairs(SEQUENCES) do
        local fits = #text >= #sequence
        for i, range in ipairs(sequence) do
            local byte = text:byte(i)
            fits = fits and byte >= range[1] and byte <= range[2]
        end
        if fits then return #sequence end
    end
    return 0
end

describe("utf8_len", function()
    it("is right for every pair of bytes, and with any third and fourth", function()
        local r = t.rng()
        for a = 0, 255 do
            for b = 0, 255 do
                local two = string.char(a, b)
                local four = two .. string.char(r(0x7e, 0xc1), r(0x7e, 0xc1))
                for _, text in ipairs { two, four } do
                    if tonumber(core.utf8_len(text, #text)) ~= naive_utf8(text) then
                        error(("%02x %02x: %d"):format(a, b,
                              tonumber(core.utf8_len(text, #text))))
                    end
                end
            end
        end
    end)

    it("never looks beyond the end", function()
        for _, text in ipairs { "ä", "€", "😀" } do
            assert.equal(#text, tonumber(core.utf8_len(text, #text)))
            for left = 0, #text - 1 do
                assert.equal(0, tonumber(core.utf8_len(text, left)))
            end
        end
    end)
end)

describe("text_escape", function()
    local cases = {
        { "", "" }, { "plain text", "plain text" }, { "ä€😀", "ä€😀" }, { "a\nb\tc", "a\\nb\\tc" },
        { "\27[31m", "\\x1b[31m" }, { "a\0b", "a\\x00b" }, { "\127", "\\x7f" },
        { "\255\254", "\\xff\\xfe" }, { "\192\128", "\\xc0\\x80" },
        { "\237\160\128", "\\xed\\xa0\\x80" },
        { "\r", "\\x0d" }, { "a\195", "a\\xc3" }, { "\194\155 31m", "\\xc2\\x9b 31m" },
        { "\194\160", "\194\160" },
    }
    for _, case in ipairs(cases) do
        it(("shows %q as %q"):format(case[1], case[2]), function()
            assert.equal(case[2], escape(case[1]))
        end)
    end

    it("cuts, never within a character", function()
        assert.equal("abcdef…", escape("abcdefghijklmnop", 9))
        for max = 4, 40 do
            local got = escape(("ä€😀\n"):rep(20), max)
            assert.matches("…$", got)
            local kept = got:sub(1, -#"…" - 1)
            assert.is_true(#kept <= max, max)
            local i = 1
            while i <= #kept do
                local n = naive_utf8(kept:sub(i))
                assert.is_true(n > 0)
                i = i + n
            end
        end
        assert.equal("…", escape("abc", 0))
    end)

    it("never lets a control character through", function()
        local r = t.rng()
        for _ = 1, 500 do
            local chars = {}
            for i = 1, r(60) do chars[i] = string.char(r(0, 255)) end
            local got = escape(table.concat(chars))
            assert.is_nil(got:find "[%z\1-\31\127]")
            assert.is_nil(got:find "\194[\128-\159]")
        end
    end)
end)

describe("buf_json", function()
    it("is read back by another program as it was", function()
        local all = {}
        for byte = 0, 127 do all[#all + 1] = string.char(byte) end
        local text = table.concat(all) .. "ä€😀\226\128\168"
        assert.equal(text, t.json("[" .. json(text) .. "]")[1])
    end)

    it("replaces what is not UTF-8", function()
        assert.equal('"a\239\191\189b"', json "a\255b")
        assert.equal('"\239\191\189\239\191\189\239\191\189"', json "\237\160\128")
        assert.equal('"\239\191\189"', json "\195")
    end)

    it("has no line ends and no controls inside", function()
        assert.equal('"\\u0000\\n\\t\\u001b\\u007f\\"\\\\/"', json '\0\n\t\27\127"\\/')
        assert.equal('""', json "")
    end)
end)

describe("buf", function()
    it("is like a string", function()
        local r, b, model = t.rng(), buf(), ""
        for _ = 1, 3000 do
            local what = r(4)
            local data = ("abc\0"):rep(r(0, 30)):sub(r(4))
            if what == 1 then
                core.buf_add(b, data, #data)
                model = model .. data
            elseif what == 2 then
                core.buf_str(b, "x")
                model = model .. "x"
            elseif what == 3 then
                core.buf_printf(b, "%d-%s", ffi.new("int", 42), "y")
                model = model .. "42-y"
            else
                local n = r(0, 200)
                core.buf_drop(b, n)
                model = model:sub(n + 1)
            end
            assert.equal(#model, tonumber(b.len))
            if b.data ~= nil then
                assert.is_true(text_of(b) == model)
                assert.equal(0, b.data[b.len]) -- always closed by a NUL
            end
        end
    end)

    it("may be dropped and freed when empty", function()
        local b = buf()
        core.buf_drop(b, 5)
        core.buf_free(b)
        core.buf_free(b)
        assert.equal(0, tonumber(b.len))
    end)
end)

describe("err", function()
    it("keeps code and text, cut to what fits", function()
        local e = ffi.new("struct err")
        assert.equal(-1, core.err_set(e, 4, "%s!", ("x"):rep(3000)))
        assert.same({ 4, ("x"):rep(1023) }, { tonumber(e.code), ffi.string(e.text) })
        assert.equal(-1, core.err_set(nil, 4, "%s", "nothing to fill"))
    end)
end)

describe("file_read", function()
    local function read(path, max)
        local b, e = buf(), ffi.new("struct err")
        if core.file_read(path, max, b, e) == 0 then return text_of(b) end
        return nil, tonumber(e.code), ffi.string(e.text)
    end

    it("reads all bytes, up to the limit", function()
        local dir = t.tmpdir()
        local data = ("a\0\255"):rep(50000)
        t.write_file(dir .. "/f", data)
        t.write_file(dir .. "/empty", "")
        assert.is_true(read(dir .. "/f", 150000) == data)
        assert.equal("", read(dir .. "/empty", 0))
        local got, code, text = read(dir .. "/f", 149999)
        assert.same({ 1, true }, { code, text:find("too large", 1, true) ~= nil })
        assert.is_nil(got)
    end)

    it("tells a missing file from other trouble", function()
        local dir = t.tmpdir()
        local _, code, text = read(dir .. "/none", 10)
        assert.equal(3, code)
        assert.is_truthy(text:find(dir .. "/none", 1, true))
        _, code = read(dir, 10)
        assert.equal(1, code)
    end)
end)
