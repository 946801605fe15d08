-- Many at once: LOOPS=n enqueue loops beside two workers.

local t = require "support"
local Harness = require "fault.harness"

describe("many who enqueue at once", function()
    it("meet no lock, and each job runs exactly once", function()
        local h = Harness.new()
        local a, b = h:start_worker(), h:start_worker()
        for _ = 1, Harness.loops do h:start_loop(25) end
        assert.equal("", h:end_loops())
        assert.equal(Harness.loops * 25, #h.acked)
        for _, worker in ipairs { a, b } do
            worker:kill("TERM")
            assert.equal(0, (worker:wait(20)))
            assert.is_nil(worker:err():find("locked", 1, true))
            assert.is_nil(worker:err():find("event=store", 1, true))
        end
        assert.equal("", h:finish())
        local starts, ends = {}, {}
        for id, what in t.read_file(h:path("seen")):gmatch("(%S+) %d+ (%a+) [^\n]+") do
            local list = what == "start" and starts or ends
            list[id] = (list[id] or 0) + 1
        end
        for _, id in ipairs(h.acked) do assert.same({ 1, 1 }, { starts[id], ends[id] }, id) end
        local said = a:err() .. b:err()
        assert.is_not_nil(said:find("event=completed", 1, true))
    end)
end)
