local store = require "support.store"
local t = require "support"

for _, backend in ipairs(store.backends) do
describe("store/concurrency (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    it("gives each of 10,000 jobs to exactly one of four processes", function()
        local seqs = s:enqueue_many(10000)
        local children, claimed, by = {}, {}, {}
        for i = 1, 4 do
            children[i] = store.child("drain", s.url, s:worker_add { name = "w" .. i }, i * 7)
        end
        for _, child in ipairs(children) do store.wait_line(child, "ready") end
        for _, child in ipairs(children) do child:write "go\n" end
        for i, child in ipairs(children) do
            assert.same({ 0 }, { child:wait(30) }, child:describe())
            assert.matches("end\n$", child:out())
            assert.is_nil(child:out():find "stale")
            for seq in child:out():gmatch("%d+") do
                assert.is_nil(claimed[tonumber(seq)], seq)
                claimed[tonumber(seq)] = true
                by[i] = (by[i] or 0) + 1
            end
        end
        for _, seq in ipairs(seqs) do assert.is_true(claimed[seq]) end
        assert.equal(10000, s:counts().completed)
        local sharers = 0
        for _ in pairs(by) do sharers = sharers + 1 end
        assert.is_true(sharers > 1, "one process did all of it: this tried nothing")
        for i = 1, 10000, 997 do
            assert.same({ 1, 1 }, { #s:attempts(seqs[i]), s:get(seqs[i]).starts })
        end
    end)

    it("is whole after processes are killed at any time", function()
        for round = 1, 4 do
            local a, b = s:worker_add(), s:worker_add()
            local children = { store.child("work", s.url, a), store.child("work", s.url, b) }
            for _, child in ipairs(children) do
                t.eventually(function() return #child:out() > 50 * round end, 20)
                child:kill "KILL"
            end
            for _, child in ipairs(children) do
                local _, signal = child:wait()
                assert.equal(9, signal, child:describe())
            end
            local running = s:counts().processing
            assert.equal(running, s:recover(a) + s:recover(b))
            assert.equal(0, s:counts().processing)
            -- What was said to be done is done, by a commit before it was said.
            for _, child in ipairs(children) do
                for seq in child:out():gmatch("(%d+)\n") do
                    assert.is_true(#s:attempts(tonumber(seq)) >= 1)
                end
            end
            assert.same(s:tally(), s:counts())
        end
    end)

    it("fails at once without WAIT while somebody else writes", function()
        local holder = store.child("hold", s.url)
        store.wait_line(holder, "held")
        local quick = store.open(s.url, 0)
        local from = t.now()
        assert.equal(100, store.failure(quick.begin, quick).code)
        assert.is_true(t.now() - from < 0.5)
        assert.equal(0, quick:counts().pending) -- reading goes on
        holder:write "\n"
        holder:wait()
        quick:begin()
        quick:rollback()
        quick:close()
    end)

    it("waits with WAIT until the other has finished", function()
        s:begin()
        local child = store.child("begin", s.url)
        store.wait_line(child, "waiting")
        local function switches()
            local status = t.read_file(("/proc/%d/status"):format(child:pid()))
            return tonumber(status:match("\nvoluntary_ctxt_switches:%s*(%d+)"))
        end
        local first = switches()
        t.eventually(function() return switches() > first + 10 end)
        assert.equal("waiting\n", child:out())
        s:rollback()
        child:wait()
        assert.equal("waiting\ngot it\n", child:out())
    end)

    it("hears of another process that commits and rings", function()
        local sys = require "support.sys"
        local fd = s:notify_fd()
        assert.is_true(fd >= 0)
        s:notify_drain()
        s:changed()
        assert.is_false(s:changed())
        local watch = { fd = fd, events = sys.POLLIN }
        sys.poll({ watch }, 0)
        assert.is_false(watch.ready)
        store.wait_line(store.child("enqueue", s.url, 1), "done")
        t.eventually(function()
            sys.poll({ watch }, 0)
            return watch.ready
        end)
        assert.equal(1, s:notify_drain() % 2)
        assert.is_true(s:changed())
        assert.is_false(s:changed())
        sys.poll({ watch }, 0)
        assert.is_false(watch.ready)
        assert.equal(0, s:notify_drain())
    end)

    it("does not call its own commits changes", function()
        s:changed()
        s:enqueue()
        assert.is_false(s:changed())
    end)

    it("rings for each doorbell, also an own one", function()
        local sys = require "support.sys"
        local other = store.open(s.url)
        local watch = { fd = other:notify_fd(), events = sys.POLLIN }
        for _ = 1, 3 do
            other:notify_drain()
            s:ring()
            sys.poll({ watch }, 5)
            assert.is_true(watch.ready)
            assert.equal(1, other:notify_drain())
        end
        other:close()
    end)

    it("shows nothing of a transaction before its commit", function()
        local other = store.open(s.url)
        s:begin()
        s.inside = true
        local e = s:enqueue()
        assert.is_nil(other:get(e.seq))
        assert.equal(0, other:counts().pending)
        s:commit()
        s.inside = false
        assert.equal("pending", other:state(e.seq))
        assert.equal(1, other:counts().pending)
        other:close()
    end)
end)
end
