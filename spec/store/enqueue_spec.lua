local store = require "support.store"

local function seqs(list)
    local out = {}
    for i, item in ipairs(list) do out[i] = item.seq end
    return out
end

for _, backend in ipairs(store.backends) do
describe("store/enqueue (" .. backend.name .. ")", function()
    local s
    before_each(function() s = backend.open() end)
    after_each(function() backend.close(s) end)

    it("numbers jobs in the order given and starts them in it", function()
        local made = s:enqueue_many(50)
        for i = 2, 50 do assert.is_true(made[i] > made[i - 1]) end
        assert.same(made, seqs(s:claim { max = 100 }))
        assert.same({}, s:claim { max = 100 })
    end)

    it("takes higher priorities first, older ones first within one", function()
        local order = {}
        for _, p in ipairs { 0, 5, -3, 5, 2147483647, 0, -2147483648 } do
            order[#order + 1] = { priority = p, seq = s:enqueue({ priority = p }).seq }
        end
        table.sort(order, function(a, b)
            if a.priority ~= b.priority then return a.priority > b.priority end
            return a.seq < b.seq
        end)
        local got = seqs(s:claim { max = 3 })
        for _, seq in ipairs(seqs(s:claim { max = 100 })) do got[#got + 1] = seq end
        assert.same(seqs(order), got)
    end)

    it("takes the first three by priority", function()
        local low = s:enqueue { priority = 1 }
        local high = s:enqueue { priority = 2 }
        local mid = s:enqueue { priority = 1 }
        assert.same({ high.seq, low.seq, mid.seq }, seqs(s:claim { max = 3 }))
    end)

    it("gives no more than max and nothing of another lane", function()
        local run = s:run_create()
        s:enqueue_all({ {}, {} }, run)
        local made = s:enqueue_many(3)
        assert.same({ made[1], made[2] }, seqs(s:claim { max = 2 }))
        assert.same({ made[3] }, seqs(s:claim { max = 5 }))
        assert.equal(2, #s:claim { max = 5, lane = run })
    end)

    it("keeps a job of the future until it is due", function()
        local e = s:enqueue { delay_ms = 60000 }
        local now = s:enqueue()
        assert.same("pending", e.state)
        assert.equal(e.run_at, s:promote())
        assert.same({ now.seq }, seqs(s:claim { max = 9 }))
        assert.equal(e.run_at, s:promote(e.run_at - 1))
        assert.same({}, s:claim { max = 9 })
        s:promote(e.run_at)
        assert.same({ e.seq }, seqs(s:claim { max = 9 }))
    end)

    it("keeps a job until the time before which it must not start, and its delay", function()
        local now = store.wall_ms()
        local e = s:enqueue { start_at = now + 50000 }
        assert.same({ "pending", now + 50000 }, { e.state, e.run_at })
        assert.equal(now + 70000, s:enqueue({ delay_ms = 10, start_at = now + 70000 }).run_at)
        assert.is_true(s:enqueue({ delay_ms = 90000, start_at = now + 5 }).run_at >= now + 90000)
        local past = s:enqueue { start_at = 5 }
        assert.same({ past.seq }, seqs(s:claim { max = 9 }))
        assert.equal(e.run_at, s:promote(e.run_at - 1))
        s:promote(e.run_at)
        assert.same({ e.seq }, seqs(s:claim { max = 9 }))
    end)

    it("says 0 when nothing more will become due", function()
        assert.equal(0, s:promote())
        local e = s:enqueue { delay_ms = 1000 }
        assert.equal(0, s:promote(e.run_at))
    end)

    it("promotes in order of priority, and says when the next is due", function()
        local low = s:enqueue { delay_ms = 1000, priority = 1 }
        local high = s:enqueue { delay_ms = 2000, priority = 2 }
        local later = s:enqueue { delay_ms = 500000 }
        assert.equal(later.run_at, s:promote(high.run_at))
        assert.same({ high.seq, low.seq }, seqs(s:claim { max = 9 }))
    end)

    it("promotes only the lane it is asked for", function()
        local run = s:run_create()
        local e = s:enqueue_all({ { delay_ms = 1000 } }, run)[1]
        assert.equal(0, s:promote(e.run_at + 1))
        assert.same({}, s:claim { max = 9, lane = run })
        s:promote(e.run_at, run)
        assert.same({ e.seq }, seqs(s:claim { max = 9, lane = run }))
    end)

    it("promotes any number, in several steps", function()
        s:enqueue_many(2500, { delay_ms = 1000 })
        local due = store.wall_ms() + 2000
        local steps = 0
        repeat
            local next_due = s:promote(due)
            steps = steps + 1
        until next_due == 0 or next_due > due or steps > 10
        assert.is_true(steps <= 4)
        assert.equal(2500, #s:claim { max = 3000 })
    end)

    it("makes ids that are unique and sort as they were made", function()
        local specs = {}
        for i = 1, 3000 do specs[i] = {} end
        local last = ""
        for _, e in ipairs(s:enqueue_all(specs)) do
            assert.is_true(last < e.id)
            assert.is_true(store.core.id_is_valid(e.id))
            assert.is_false(e.existed)
            last = e.id
        end
        assert.equal(3000, s:counts().pending)
    end)

    it("adds a given id once and says what became of it", function()
        local spec = { id = "mine", name = "n", priority = 3, env = { "A=1" } }
        local first = s:enqueue(spec)
        assert.same({ false, "mine", "pending" }, { first.existed, first.id, first.state })
        local again = s:enqueue(spec)
        assert.same({ true, "mine", "pending", first.seq, first.run_at },
                    { again.existed, again.id, again.state, again.seq, again.run_at })
        s:work({}, first.seq)
        assert.equal("completed", s:enqueue(spec).state)
        assert.equal(1, s:counts().completed)
        assert.same({}, s:claim { max = 9 })
    end)

    it("does not take two different jobs for one, whatever the difference", function()
        local base = { id = "x", name = "n", queue = "q", group = "g", command = "a", cwd = "/",
                       stdin = "i", stdin_path = "/p", priority = 1, retries = 1, timeout_ms = 1,
                       kill_after_ms = 1, delay_ms = 1, backoff = "fixed none 1 2 3",
                       ok_codes = "\1", description = "d", tags = "[]", meta = "{}",
                       env = { "A=1" }, outputs = { "o" }, artifacts = { "a" }, limits = "l",
                       source = "s", start_at = 1, max_age_ms = 1 }
        s:enqueue(base)
        local others = { allow_failure = true, kind = "lua", env = { "A=2" }, outputs = {},
                         artifacts = { "b" }, when = true, fail_fast = true }
        for key, value in pairs(base) do
            if key ~= "id" and not others[key] then
                others[key] = type(value) == "number" and 2 or value .. "x"
            end
        end
        for key, value in pairs(others) do
            local spec = {}
            for k, v in pairs(base) do spec[k] = v end
            spec[key] = value
            local e = store.failure(s.enqueue, s, spec)
            assert.same({ key, 4 }, { key, e.code })
            assert.matches("'x'", e.text)
        end
        assert.is_true(s:enqueue(base).existed)
        assert.equal(1, s:counts().pending)
    end)

    it("adds nothing when one of many is refused", function()
        s:enqueue { id = "taken", priority = 1 }
        local specs = {}
        for i = 1, 20 do specs[i] = { id = "new" .. i } end
        specs[20] = { id = "taken", priority = 2 }
        local e = store.failure(s.enqueue_all, s, specs)
        assert.same({ 4, true }, { e.code, e.text:find("'taken'", 1, true) ~= nil })
        assert.is_nil(s:get "new1")
        assert.equal(1, s:counts().pending)
    end)

    it("leaves nothing of a transaction that is rolled back", function()
        local ok = pcall(s.tx, s, function()
            s:enqueue_all { {}, { needs = { 1 } }, { delay_ms = 5000 } }
            s:work()
            error "no"
        end)
        assert.is_false(ok)
        assert.same({ 0, 0, 0 }, { s:counts().pending, s:counts().waiting, s:counts().completed })
        assert.same({}, (s:list {}))
        assert.equal(0, s:promote(store.wall_ms() + 10000))
        s:enqueue()
        assert.equal(1, s:counts().pending)
    end)

    it("takes an id that stands twice in one call as one job", function()
        local done = s:enqueue_all { { id = "twin" }, { id = "other" }, { id = "twin" } }
        assert.same({ false, false, true }, { done[1].existed, done[2].existed, done[3].existed })
        assert.equal(done[1].seq, done[3].seq)
        assert.equal(2, s:counts().pending)
        local e = store.failure(s.enqueue_all, s, { { id = "t2" }, { id = "t2", priority = 1 } })
        assert.same({ 4, true }, { e.code, e.text:find("'t2'", 1, true) ~= nil })
        assert.is_nil(s:get "t2")
    end)

    it("keeps the longest of everything", function()
        local spec = { id = ("i"):rep(128), name = ("n"):rep(200), queue = ("q"):rep(64),
                       group = ("g"):rep(64), command = ("c"):rep(131071),
                       env = { "A=" .. ("e"):rep(65533) }, stdin = ("\0\255"):rep(524288),
                       priority = -2147483648, retries = 1000000 }
        s:enqueue(spec)
        local job = s:get(spec.id)
        for _, key in ipairs { "name", "queue", "group", "command", "priority", "retries" } do
            assert.is_true(job[key] == spec[key], key)
        end
        assert.is_true(job.stdin_text == spec.stdin)
        assert.is_true(job.env == store.pack(spec.env))
        assert.equal("processing", s:claim_one().state)
    end)

    it("keeps hostile texts as they are", function()
        local texts = { "'; DROP TABLE job; --", "\27[31m", "\255\254", "ä\n\t\"\\", "%s%n", "" }
        for i, text in ipairs(texts) do
            local e = s:enqueue { id = "t" .. i, name = text, command = text .. "\0x", cwd = text,
                                  queue = text, group = text, description = text }
            local job = s:get(e.seq)
            for _, key in ipairs { "name", "cwd", "queue", "group", "description" } do
                assert.equal(text, job[key])
            end
            assert.equal(text .. "\0x", job.command)
        end
        assert.equal(#texts, #s:claim { max = 10 })
    end)

    it("tells an empty stdin from none", function()
        local empty, none = s:enqueue { stdin = "" }, s:enqueue()
        assert.equal("", s:get(empty.seq).stdin_text)
        assert.is_nil(s:get(none.seq).stdin_text)
    end)

    it("counts queues apart and together", function()
        s:enqueue_all { { queue = "a" }, { queue = "b" }, { queue = "b" }, { queue = "a" } }
        s:work()
        assert.same({ 3, 1 }, { s:counts().pending, s:counts().completed })
    end)

    it("knows when there is no work", function()
        assert.is_false(s:has_work())
        local future = s:enqueue { delay_ms = 60000 }
        assert.is_false(s:has_work())
        s:cancel(future.id)
        s:enqueue { retries = 1, backoff = "fixed none 60000 1 60000" }
        assert.is_true(s:has_work())
        local job = s:claim_one()
        assert.is_true(s:has_work())
        s:finish(job, { exit_code = 1 })
        assert.equal("failed", s:state(job.seq))
        assert.is_true(s:has_work())
        s:cancel(job.id)
        assert.is_false(s:has_work())
    end)

    it("has work while a job is snoozed", function()
        local e = s:enqueue()
        s:work({ cause = "snooze", snooze_ms = 60000 }, e.seq)
        assert.equal("pending", s:state(e.seq))
        assert.is_true(s:has_work())
        s:cancel(e.id)
        s:enqueue { delay_ms = 60000 }
        assert.is_false(s:has_work())
    end)

    it("has work in one lane and not in another", function()
        local run = s:run_create()
        s:enqueue_all({ {} }, run)
        assert.is_false(s:has_work())
        assert.is_true(s:has_work(run))
    end)

    it("finds no job that is not there", function()
        assert.is_nil(s:get(12345))
        assert.is_nil(s:get "none")
        assert.is_nil(s:cancel "none")
        assert.is_nil(s:retry "none")
        assert.same({}, s:attempts(12345))
    end)
end)
end
