-- However much jobs print, the worker stays small.

local t = require "support"
local Queue = require "worker.queue"

local KEPT = 256 * 1024
local GROWTH_KB = 8 * 1024
local sanitized = os.getenv("SPEC_ASAN_OPTIONS") ~= nil

local function peak_kb(worker)
    return tonumber(t.read_file(("/proc/%d/status"):format(worker:pid())):match("VmHWM:%s+(%d+)"))
end

describe("a flood of output", function()
    it("is counted exactly, bounded in memory, and others go on", function()
        local q = Queue.new()
        local worker = q:worker("--count", "3")
        -- Warm: what ordinary work takes.
        local warm = q:enqueue("head -c 400000 /dev/zero")
        q:wait(warm, "completed")
        local before = peak_kb(worker)

        local zeros = q:enqueue("head -c 2G /dev/zero", "--timeout", "2m")
        local line = q:enqueue("head -c 350M /dev/zero | tr '\\0' a", "--timeout", "2m")
        local small = q:enqueue("echo small")
        q:wait(small, "completed", 5)
        assert.equal("processing", q:job(zeros).state)

        local done = { [zeros] = 2147483648, [line] = 350 * 1024 * 1024 }
        for id, total in pairs(done) do
            local job = q:wait(id, "completed", 100)
            assert.equal(total, job.history[1].output_bytes)
            local char = id == zeros and "\0" or "a"
            assert.is_true(q:logs(id) == char:rep(KEPT))
        end
        local growth = peak_kb(worker) - before
        if not sanitized then -- that keeps freed memory back
            assert.is_true(growth <= GROWTH_KB, ("grew by %d KiB"):format(growth))
        end
        t.note(("grew by %d KiB"):format(growth))
        local size = t.sql(q.store, "SELECT sum(length(data)) FROM output")[1][1]
        assert.is_true(tonumber(size) <= 3 * (KEPT + 65536), size)
    end)
end)
