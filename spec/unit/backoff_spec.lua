local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core

local KINDS = { exponential = 0, linear = 1, fixed = 2, decorrelated = 3, list = 4 }
local JITTERS = { none = 0, equal = 1, full = 2 }

local function backoff(spec)
    local b = ffi.new("struct backoff", {
        kind = KINDS[spec.kind or "exponential"], jitter = JITTERS[spec.jitter or "none"],
        first_ms = spec.first or 2000, cap_ms = spec.cap or 300000, factor = spec.factor or 2 })
    for i, ms in ipairs(spec.list or {}) do b.list_ms[i - 1] = ms end
    b.list_len = spec.list and #spec.list or 0
    return b
end

local function delay(b, tries, random, last)
    return tonumber(core.backoff_delay(b, tries, last or 0, random or 0))
end

local function delays(b, n, random)
    local out = {}
    for i = 1, n do out[i] = delay(b, i, random) end
    return out
end

local function print_form(b)
    local buf = ffi.gc(ffi.new("struct buf"), core.buf_free)
    core.backoff_print(b, buf)
    return ffi.string(buf.data, buf.len)
end

local function parse(text)
    local b, err = ffi.new("struct backoff"), ffi.new("struct err")
    if core.backoff_parse(text, b, err) == 0 then return b end
    return nil, tonumber(err.code)
end

describe("backoff", function()
    it("has the base to the power of the try by default", function()
        assert.same({ 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000 },
                    delays(core.backoff_default, 10))
    end)

    local curves = {
        { { kind = "exponential", first = 500, factor = 3, cap = 10000 },
          { 500, 1500, 4500, 10000, 10000 } },
        { { kind = "exponential", first = 100, factor = 1, cap = 10000 }, { 100, 100, 100 } },
        { { kind = "exponential", first = 1000, factor = 1.5, cap = 1e6 },
          { 1000, 1500, 2250, 3375 } },
        { { kind = "linear", first = 1000, cap = 3500 }, { 1000, 2000, 3000, 3500, 3500 } },
        { { kind = "fixed", first = 700, cap = 1000 }, { 700, 700, 700 } },
        { { kind = "fixed", first = 7000, cap = 1000 }, { 1000, 1000 } },
        { { kind = "list", list = { 10, 500, 20 } }, { 10, 500, 20, 20, 20 } },
        { { kind = "list", list = { 10, 500000 }, cap = 1000 }, { 10, 1000, 1000 } },
        { { kind = "list", list = { 0 } }, { 0, 0 } },
        { { kind = "list", list = {}, first = 9 }, { 9, 9 } },
        { { kind = "exponential", first = 0 }, { 0, 0, 0 } },
    }
    for i, case in ipairs(curves) do
        it(("follows its curve: %s, number %d"):format(case[1].kind, i), function()
            assert.same(case[2], delays(backoff(case[1]), #case[2]))
        end)
    end

    it("takes jitter off, never beyond the curve", function()
        local full, equal = backoff { jitter = "full" }, backoff { jitter = "equal" }
        assert.same({ 0, 0 }, delays(full, 2, 0))
        assert.same({ 1000, 2000 }, delays(full, 2, 0.5))
        assert.same({ 1000, 2000 }, delays(equal, 2, 0))
        assert.same({ 1500, 3000 }, delays(equal, 2, 0.5))
        assert.is_true(delay(full, 3, 0.999999) >= 7999 and delay(full, 3, 0.999999) < 8000)
        assert.equal(150000, delay(full, 1000, 0.5))
    end)

    it("spreads decorrelated waits over first to three times the last", function()
        local b = backoff { kind = "decorrelated", first = 1000, cap = 50000 }
        assert.equal(1000, delay(b, 1, 0, 0))
        assert.equal(2000, delay(b, 1, 0.5, 0))
        assert.equal(1000, delay(b, 5, 0, 9000))
        assert.equal(14000, delay(b, 5, 0.5, 9000))
        assert.equal(2000, delay(b, 5, 0.5, 10)) -- a last wait below first counts as first
        assert.equal(50000, delay(b, 5, 0.99, 40000))
    end)

    it("is never negative, never above the cap, whatever it is given", function()
        local r = t.rng()
        local numbers = { 0, 1, 2000, 1e15, 9007199254740992LL, 0x7fffffffffffffffLL }
        local factors = { 1, 2, 1e6, 1e308, math.huge, 0 / 0, 0, -5 }
        local tries = { -2147483648, -1, 0, 1, 2, 63, 64, 65, 1024, 1000000, 2147483647 }
        local randoms = { 0, 0.5, 1 - 2 ^ -53 }
        for kind in pairs(KINDS) do
            for _ = 1, 3000 do
                local cap = numbers[r(4)]
                local b = backoff { kind = kind, first = numbers[r(#numbers)], cap = cap,
                                    factor = factors[r(#factors)],
                                    jitter = ({ "none", "equal", "full" })[r(3)],
                                    list = r(2) == 1 and { 5, numbers[r(#numbers)] } or {} }
                local got = delay(b, tries[r(#tries)], randoms[r(3)], numbers[r(#numbers)])
                assert.is_true(got >= 0 and got <= cap, ("%s %g"):format(kind, got))
            end
        end
    end)

    it("stays at the cap for a million tries", function()
        for kind, expected in pairs { exponential = 300000, linear = 300000, fixed = 2000 } do
            assert.equal(expected, delay(backoff { kind = kind }, 1000000))
        end
    end)

    it("does not make anything of no number", function()
        local nan = 0 / 0
        assert.equal(0, delay(backoff { jitter = "full" }, 1, nan))
        assert.equal(300000, delay(backoff { factor = nan }, 2))
        assert.equal(300000, delay(backoff { kind = "decorrelated" }, 1, nan))
    end)

    it("is read as it was printed", function()
        local texts = { "exponential none 2000 2 300000", "exponential full 1 1.1000000000000001 0",
                        "linear equal 5000 2 1000000000000000", "fixed none 0 1 0",
                        "decorrelated none 1000 1000000 60000", "list none 300000 1000 5000",
                        "list full 0 0" }
        for _, text in ipairs(texts) do
            local b = assert(parse(text), text)
            assert.equal(text, print_form(b))
        end
        local long = { kind = "list", list = {} }
        for i = 1, 64 do long.list[i] = i end
        local b = backoff(long)
        assert.equal(64, tonumber(parse(print_form(b)).list_len))
    end)

    it("is read as it was printed, at random", function()
        local r = t.rng()
        local kinds = { "exponential", "linear", "fixed", "decorrelated", "list" }
        for _ = 1, 2000 do
            local spec = { kind = kinds[r(5)], jitter = ({ "none", "equal", "full" })[r(3)],
                           first = r(0, 1e9), cap = r(0, 1e9), factor = 1 + r() * 10, list = {} }
            for i = 1, r(64) do spec.list[i] = r(0, 1e6) end
            local b = backoff(spec)
            local again = assert(parse(print_form(b)))
            for i = 1, 5 do
                local random = r()
                assert.equal(delay(b, i, random, 77), delay(again, i, random, 77))
            end
        end
    end)

    it("is the default when there is no text", function()
        for _, text in ipairs { "", false } do
            assert.equal("exponential none 2000 2 300000", print_form(parse(text or nil)))
        end
    end)

    local garbage = {
        "x", " ", "exponential", "exponential none", "exponential none 1", "exponential none 1 2",
        "exponential none 2000 2 300000 7", "exponential none 2000 2 300000 ",
        " exponential none 2000 2 300000", "exponential  none 2000 2 300000",
        "exponential none -1 2 300000", "exponential none 2000 0.5 300000",
        "exponential none 2000 2 -1", "exponential none 2000 nan 300000",
        "exponential none nan 2 300000", "exponential none 2000 inf 300000",
        "exponential none 2000 1e7 300000", "exponential none 1e3 2 300000",
        "exponential none 0x10 2 300000", "exponential none 2000.5 2 300000",
        "exponential none 2000 2 2000000000000000", "exponential none two 2 300000",
        "Exponential none 2000 2 300000", "exponential some 2000 2 300000",
        "list none", "list none 300000", "list none 300000 -1", "list none 300000 1000 x",
        "list none 300000 1000 nan", "list none x 1000", "none exponential 2000 2 300000",
        "exponential\nnone 2000 2 300000", "list none 300000" .. (" 1"):rep(65),
    }
    for _, text in ipairs(garbage) do
        it(("refuses %q"):format(#text > 60 and text:sub(1, 60) .. "…" or text), function()
            local b, code = parse(text)
            assert.is_nil(b)
            assert.equal(8, code)
        end)
    end

    it("may be refused without an err to fill", function()
        assert.equal(-1, core.backoff_parse("x", ffi.new("struct backoff"), nil))
    end)
end)
