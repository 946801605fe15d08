local ffi = require "ffi"
local store = require "support.store"
local t = require "support"

local core = store.core
local HEAD, TAIL = store.HEAD, store.TAIL

-- What a reader is to see of a text: the first HEAD bytes and the last TAIL ones.
local function seen(text)
    if #text <= HEAD + TAIL then return text end
    return text:sub(1, HEAD) .. text:sub(-TAIL)
end

local function noise(n, r)
    local parts, block = {}, {}
    for i = 1, 997 do block[i] = string.char(r(0, 255)) end
    block = table.concat(block)
    for i = 1, math.ceil(n / 997) do parts[i] = ("%08d"):format(i) .. block:sub(9) end
    return table.concat(parts):sub(1, n)
end

for _, backend in ipairs(store.backends) do
describe("store/output (" .. backend.name .. ")", function()
    local s, job
    before_each(function()
        s = backend.open()
        s:enqueue()
        job = s:claim_one()
    end)
    after_each(function() backend.close(s) end)

    -- Gives the text in pieces of the sizes that size() returns.
    local function store_pieces(text, size)
        local at = 0
        while at < #text do
            local chunks = {}
            for i = 1, 3 do
                local n = math.min(size(), #text - at)
                if n == 0 then break end
                chunks[i] = { offset = at, data = text:sub(at + 1, at + n), at = at, stream = 1 }
                at = at + n
            end
            s:output_add(job, chunks, at)
        end
    end

    local totals = { 0, 1, HEAD - 1, HEAD, HEAD + 1, HEAD + TAIL - 1, HEAD + TAIL,
                     HEAD + TAIL + 1, HEAD + 2 * TAIL, 1000000, 10 * 1024 * 1024 }
    for _, total in ipairs(totals) do
        it(("keeps the head and the tail of %d bytes"):format(total), function()
            local r = t.rng()
            local text = noise(total, r)
            store_pieces(text, function() return r(total > 1e6 and 65536 or 9000) end)
            assert.is_true(s:output(job.seq, 1, total) == seen(text))
            local kept = 0
            for _, c in ipairs(s:output_chunks(job.seq, 1)) do kept = kept + #c.data end
            assert.is_true(kept <= HEAD + TAIL + 2 * 65536, "keeps " .. kept)
        end)
    end

    it("keeps what output.c gives it, of both streams, stored at any time", function()
        local r = t.rng()
        for _ = 1, 6 do
            local o = ffi.new("struct output")
            local all, streams = {}, {}
            local function flush()
                local chunks, list = ffi.new("struct chunk *[1]"), {}
                for i = 1, tonumber(core.output_unstored(o, chunks)) do
                    local c = chunks[0][i - 1]
                    list[i] = { offset = tonumber(c.offset), stream = c.stream, at = tonumber(c.at),
                                data = ffi.string(c.data.data, c.data.len) }
                end
                ffi.C.free(chunks[0])
                s:output_add(job, list, tonumber(o.total))
                core.output_stored(o)
            end
            local flush_often = r(1, 200)
            for _ = 1, r(100) do
                local data = noise(r(r(100) == 1 and 300000 or 12000), r)
                local stream = r(2)
                core.output_put(o, stream, r(1000000), data, #data)
                all[#all + 1], streams[#streams + 1] = data, { stream, #data }
                if r(flush_often) == 1 then flush() end
            end
            flush()
            local text = table.concat(all)
            assert.equal(#text, tonumber(o.total))
            assert.is_true(s:output(job.seq, tonumber(job.c.starts), #text) == seen(text))
            core.output_free(o)
            s:finish(job, { cause = "interrupted" })
            job = s:claim_one()
        end
    end)

    it("drops a chunk only once all of it lies before the tail", function()
        local chunk = { offset = HEAD, data = ("m"):rep(1000) }
        local last = HEAD + 1000 + TAIL
        s:output_add(job, { chunk }, HEAD + 1000)
        s:output_add(job, { { offset = HEAD + 1000, data = "x" } }, last - 1)
        assert.equal(chunk.data, s:output_chunks(job.seq, 1)[1].data)
        s:output_add(job, {}, last)
        assert.same({ { offset = HEAD + 1000, data = "x", stream = 1, at = 0 } },
                    s:output_chunks(job.seq, 1))
    end)

    it("keeps streams, times and attempts apart", function()
        s:output_add(job, { { offset = 0, data = "out", stream = 1, at = 11 },
                            { offset = 3, data = "err\0", stream = 2, at = 12 } }, 7)
        s:finish(job, { cause = "interrupted" })
        job = s:claim_one()
        s:output_add(job, { { offset = 0, data = "second", stream = 2, at = 13 } }, 6)
        assert.same({ { offset = 0, data = "out", stream = 1, at = 11 },
                      { offset = 3, data = "err\0", stream = 2, at = 12 } },
                    s:output_chunks(job.seq, 1))
        assert.same({ { offset = 0, data = "second", stream = 2, at = 13 } },
                    s:output_chunks(job.seq, 2))
        assert.same({}, s:output_chunks(job.seq, 3))
        assert.same({}, s:output_chunks(job.seq + 1, 1))
    end)

    it("does not store a chunk twice", function()
        local chunk = { offset = 0, data = "once" }
        s:output_add(job, { chunk }, 4)
        s:output_add(job, { chunk }, 4)
        assert.equal("once", s:output(job.seq, 1, 4))
    end)

    it("leaves nothing of a transaction that is rolled back", function()
        pcall(s.tx, s, function()
            s:output_add(job, { { offset = 0, data = "x" } }, 1)
            error "no"
        end)
        assert.same({}, s:output_chunks(job.seq, 1))
    end)

    it("drops nothing of other jobs", function()
        s:enqueue()
        local other = s:claim_one()
        local text = noise(400000, t.rng(5))
        store_pieces(text, function() return 30000 end)
        s:output_add(other, { { offset = HEAD, data = "mine" } }, HEAD + 4)
        store_pieces(text, function() return 31000 end)
        assert.equal("mine", s:output_chunks(other.seq, 1)[1].data)
    end)
end)
end
