local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core

local function entries(list, len)
    local pos, out = ffi.new("size_t[1]"), {}
    while true do
        local entry = core.pack_next(list, len or #list, pos)
        if entry == nil then return out, tonumber(pos[0]) end
        out[#out + 1] = ffi.string(entry)
    end
end

describe("pack", function()
    it("gives back what was added", function()
        local buf = ffi.gc(ffi.new("struct buf"), core.buf_free)
        core.pack_add(buf, ("="):byte(), "a b")
        core.pack_add(buf, ("-"):byte(), "HOME")
        core.pack_add(buf, ("@"):byte(), "1:k=N")
        core.pack_add(buf, ("="):byte(), "")
        assert.equal("=a b\0-HOME\0@1:k=N\0=\0", ffi.string(buf.data, buf.len))
        assert.same({ "=a b", "-HOME", "@1:k=N", "=" }, (entries(buf.data, tonumber(buf.len))))
    end)

    it("gives back any list", function()
        local r = t.rng()
        for _ = 1, 300 do
            local buf, want = ffi.gc(ffi.new("struct buf"), core.buf_free), {}
            for i = 1, r(0, 40) do
                local chars = {}
                for k = 1, r(0, 30) do chars[k] = string.char(r(1, 255)) end
                local text = table.concat(chars)
                want[i] = "=" .. text
                core.pack_add(buf, ("="):byte(), text)
            end
            assert.same(want, (entries(buf.data, tonumber(buf.len))))
        end
    end)

    it("has values by key", function()
        local buf = ffi.gc(ffi.new("struct buf"), core.buf_free)
        local function value(key)
            local found = core.pack_value(buf, key)
            return found ~= nil and ffi.string(found) or nil
        end
        assert.is_nil(value "a")
        assert.is_false(core.pack_drop(buf, "a"))
        for _, pair in ipairs { { "a", "1" }, { "ab", "2=3" }, { "b", "" } } do
            core.pack_add_value(buf, pair[1], pair[2])
        end
        assert.same({ "1", "2=3", "" }, { value "a", value "ab", value "b" })
        assert.is_nil(value "a=1")
        assert.is_true(core.pack_drop(buf, "ab"))
        assert.is_false(core.pack_drop(buf, "ab"))
        assert.equal("=a=1\0=b=\0", ffi.string(buf.data, buf.len))
        assert.is_true(core.pack_drop(buf, "b"))
        assert.is_true(core.pack_drop(buf, "a"))
        assert.equal(0, tonumber(buf.len))
    end)

    local broken = {
        { "", {} }, { "\0", {} }, { "=a", {} }, { "=a\0=b", { "=a" } }, { "=a\0\0=b\0", { "=a" } },
        { "=\0", { "=" } }, { "=a\0\0", { "=a" } },
    }
    for _, case in ipairs(broken) do
        it(("ends before what is broken: %q"):format(case[1]), function()
            local got, pos = entries(case[1])
            assert.same(case[2], got)
            assert.is_true(pos <= #case[1])
        end)
    end

    it("is empty when there is nothing", function()
        assert.same({}, (entries(nil, 0)))
    end)

    local function later(text)
        local parent, key = ffi.new("long long[1]"), ffi.new("const char *[1]")
        local len, name = ffi.new("size_t[1]"), ffi.new("const char *[1]")
        if core.pack_later(text, parent, key, len, name) ~= 0 then return nil end
        return { tonumber(parent[0]), ffi.string(key[0], len[0]),
                 name[0] ~= nil and ffi.string(name[0]) or nil }
    end

    it("splits a value known later", function()
        assert.same({ 7, "key" }, later "7:key")
        assert.same({ 123456789012, "k" }, later "123456789012:k")
        assert.same({ 0, "key", "NAME" }, later "0:key=NAME")
        assert.same({ 0, "k", "A=B" }, later "0:k=A=B")
        assert.same({ 0, "a:b", "" }, later "0:a:b=")
        assert.same({ 3, "" }, later "3:")
    end)

    it("refuses what is none", function()
        for _, text in ipairs { "", ":", ":k", "x:k", "7", "7k:", "7 :k", "=N" } do
            assert.is_nil(later(text), text)
        end
    end)
end)
