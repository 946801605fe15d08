local ffi = require "ffi"
local t = require "support"
local store = require "support.store"

local core, C = store.core, ffi.C
local HEAD, TAIL, HELD = store.HEAD, store.TAIL, tonumber(C.OUTPUT_HELD)

describe("output", function()
    local o
    before_each(function() o = ffi.gc(ffi.new("struct output"), core.output_free) end)

    local function put(stream, data, at)
        core.output_put(o, stream, at or 0, data, #data)
    end

    local function unstored()
        local chunks, list = ffi.new("struct chunk *[1]"), {}
        for i = 1, tonumber(core.output_unstored(o, chunks)) do
            local c = chunks[0][i - 1]
            list[i] = { offset = tonumber(c.offset), stream = c.stream, at = tonumber(c.at),
                        data = ffi.string(c.data.data, c.data.len) }
        end
        C.free(chunks[0])
        return list
    end

    local function tail_of_errors() return ffi.string(o.error_tail, o.error_len) end

    -- All that was ever put, byte by byte, with the stream of each.
    local Naive = {}
    Naive.__index = Naive

    function Naive:put(stream, data)
        self.text[#self.text + 1] = data
        self.streams[#self.streams + 1] = (stream == 1 and "1" or "2"):rep(#data)
        if stream == 2 then self.err = (self.err .. data):sub(-1024) end
    end

    local function naive() return setmetatable({ text = {}, streams = {}, err = "" }, Naive) end

    -- What is not stored must be there, right, in order, without gaps in head and tail.
    local function check(model, stored)
        local text, streams = table.concat(model.text), table.concat(model.streams)
        assert.equal(#text, tonumber(o.total))
        assert.is_true(tail_of_errors() == model.err)
        local have, last = {}, stored
        for _, c in ipairs(unstored()) do
            local from = c.offset + 1
            if c.offset < last then error "chunks overlap or are out of order" end
            last = c.offset + #c.data
            if c.data == "" or text:sub(from, last) ~= c.data
               or streams:sub(from, last) ~= tostring(c.stream):rep(#c.data) then
                error("a wrong chunk at " .. c.offset)
            end
            if c.offset < HEAD and last > HEAD then error "a chunk over the end of the head" end
            have[#have + 1] = { c.offset, last }
        end
        local function is_covered(from, to)
            for _, span in ipairs(have) do
                if span[1] <= from and from < span[2] then from = span[2] end
            end
            return from >= to
        end
        assert.is_true(is_covered(stored, math.min(HEAD, #text)), "head")
        assert.is_true(is_covered(math.max(stored, #text - TAIL), #text), "tail")
        assert.is_true(tonumber(o.held.len) <= HELD)
    end

    it("is empty at first", function()
        put(1, "")
        put(2, "")
        assert.same({ {}, 0, "" }, { unstored(), tonumber(o.total), tail_of_errors() })
    end)

    it("keeps bytes, streams and times", function()
        put(1, "a\0b", 1000)
        put(2, "\255", 1001)
        put(1, "c", 1002)
        assert.same({ { offset = 0, stream = 1, at = 1000, data = "a\0b" },
                      { offset = 3, stream = 2, at = 1001, data = "\255" },
                      { offset = 4, stream = 1, at = 1002, data = "c" } }, unstored())
    end)

    it("joins what one stream prints at about one time", function()
        put(1, "a", 1000)
        put(1, "b", 1020)
        put(1, "c", 1021)
        assert.same({ { offset = 0, stream = 1, at = 1000, data = "ab" },
                      { offset = 2, stream = 1, at = 1021, data = "c" } }, unstored())
    end)

    it("tells only what is not stored yet", function()
        put(1, "first")
        core.output_stored(o)
        assert.same({}, unstored())
        put(1, "second")
        assert.same({ { offset = 5, stream = 1, at = 0, data = "second" } }, unstored())
    end)

    it("keeps the last 1,024 bytes of stderr alone", function()
        put(2, "old")
        put(1, ("o"):rep(5000))
        put(2, ("e"):rep(1023))
        assert.equal("d" .. ("e"):rep(1023), tail_of_errors())
        put(2, ("f"):rep(1024))
        assert.equal(("f"):rep(1024), tail_of_errors())
        put(2, "x" .. ("g"):rep(3000) .. "end")
        assert.equal(("g"):rep(1021) .. "end", tail_of_errors())
        core.output_stored(o)
        assert.equal(1024, #tail_of_errors())
    end)

    for _, total in ipairs { HEAD - 1, HEAD, HEAD + 1, HEAD + TAIL, HELD - 65536, HELD - 65535,
                             HELD, HELD + 1, 10 * 1024 * 1024 } do
        it(("holds the head and the tail of %d bytes at once"):format(total), function()
            local model = naive()
            local text = ("0123456789abcdef"):rep(math.ceil(total / 16)):sub(1, total)
            model:put(1, text)
            put(1, text)
            check(model, 0)
        end)
    end

    it("is right for any pieces, streams and times of storing", function()
        local r = t.rng()
        for _ = 1, 40 do
            o = ffi.gc(ffi.new("struct output"), core.output_free)
            local model, stored, sizes = naive(), 0, ({ 10, 3000, 70000, 300000 })[r(4)]
            local store_often = ({ 3, 20, 1000 })[r(3)]
            for _ = 1, r(80) do
                local n, stream = r(0, sizes), r(2)
                local data = string.char(r(0, 255), r(0, 255), r(0, 255)):rep(math.ceil(n / 3))
                data = data:sub(1, n)
                model:put(stream, data)
                put(stream, data, r(100))
                if r(store_often) == 1 then
                    check(model, stored)
                    core.output_stored(o)
                    stored = tonumber(o.total)
                end
            end
            check(model, stored)
        end
    end)

    it("is bounded however much is printed and never stored", function()
        local block = ("x"):rep(65536)
        for _ = 1, 2000 do
            put(1, block)
            put(2, "err")
            assert.is_true(tonumber(o.held.len) <= HELD)
        end
        assert.is_true(tonumber(o.held.cap) <= 2 * HELD)
        assert.is_true(tonumber(o.pieces_cap) < 20000)
        assert.equal(2000 * 65539, tonumber(o.total))
    end)

    it("takes streams that alternate by the byte, in no more time than any", function()
        local n, from = 700000, t.now()
        for i = 1, n do
            core.output_put(o, i % 2 + 1, 0, i % 2 == 0 and "a" or "b", 1)
        end
        assert.is_true(t.now() - from < 2)
        assert.is_true(tonumber(o.held.len) <= HELD)
        assert.is_true(tonumber(o.pieces_cap) <= 2 * HELD)
        local model = naive()
        model.text[1], model.streams[1] = ("ba"):rep(n / 2), ("21"):rep(n / 2)
        model.err = ("b"):rep(1024)
        check(model, 0)
    end)

    it("lets go of its memory once all is stored", function()
        put(1, ("x"):rep(400000))
        core.output_stored(o)
        assert.is_true(tonumber(o.held.cap) <= 65536)
    end)
end)
