local ffi = require "ffi"
local store = require "support.store"

local core = store.core

-- The decision for a job that has used `tries` of 1 + `retries`.
local function decide(job, outcome, snooze_ms, random, now)
    local c = ffi.new("struct job", { tries = job.tries or 1, retries = job.retries or 0,
                                      deaths = job.deaths or 0, delay_ms = job.delay_ms or 0,
                                      created_at = job.created_at or 0,
                                      max_age_ms = job.max_age_ms or 0 })
    local keep = { ffi.new("char[64]", job.backoff or ""), ffi.new("char[32]", job.ok or "") }
    if job.backoff then c.backoff = keep[1] end
    if job.ok then
        c.ok_codes.data, c.ok_codes.len = keep[2], #job.ok
    end
    local d = core.decide(c, store.outcome(outcome), snooze_ms or 0, now or 0, random or 0)
    if d.too_old then return { store.states[tonumber(d.state)], "too old", d.keep_try } end
    return { store.states[tonumber(d.state)], tonumber(d.delay_ms), d.keep_try }
end

describe("decide", function()
    local cases = {
        -- job, outcome, { state, delay_ms, keep_try }
        { "success", {}, {}, { "completed", 0, false } },
        { "success at the last try", { tries = 4, retries = 3 }, {}, { "completed", 0, false } },
        { "a failure, tries left", { retries = 1 }, { exit_code = 1 }, { "failed", 2000, false } },
        { "the second failure", { tries = 2, retries = 9 }, { exit_code = 1 },
          { "failed", 4000, false } },
        { "the last failure", { tries = 2, retries = 1 }, { exit_code = 1 },
          { "dead", 0, false } },
        { "no retries", {}, { exit_code = 255 }, { "dead", 0, false } },
        { "more tries than there are", { tries = 9, retries = 1 }, { exit_code = 1 },
          { "dead", 0, false } },
        { "a million retries", { tries = 1000000, retries = 1000000 }, { exit_code = 1 },
          { "failed", 300000, false } },
        { "its own backoff", { tries = 2, retries = 9, backoff = "linear none 10 1 1000" },
          { exit_code = 1 }, { "failed", 20, false } },
        { "a backoff that cannot be read", { retries = 9, backoff = "garbage" },
          { exit_code = 1 }, { "failed", 2000, false } },
        { "a cancelled one", { retries = 9 }, { cause = "cancelled" },
          { "cancelled", 0, false } },
        { "one whose when said no", { retries = 9 }, { cause = "when" }, { "skipped", 0, true } },
        { "one that is too old", { retries = 9 }, { cause = "expired" },
          { "dead", 0, true } },
        { "an interrupted one", { tries = 9 }, { cause = "interrupted" }, { "pending", 0, true } },
        { "the first death", { tries = 9 }, { cause = "worker_lost" }, { "pending", 0, true } },
        { "the second death", { deaths = 1 }, { cause = "worker_lost" }, { "pending", 0, true } },
        { "the third death", { deaths = 2, retries = 9 }, { cause = "worker_lost" },
          { "dead", 0, true } },
        { "an exit code that counts as success", { ok = "\0\7" }, { exit_code = 7 },
          { "completed", 0, false } },
        { "an exit code of 255 that does", { ok = "\255" }, { exit_code = 255 },
          { "completed", 0, false } },
        { "0 that does not", { ok = "\7" }, {}, { "dead", 0, false } },
        { "code 0 but a signal", { ok = "\0" }, { cause = "signal", signal = 9 },
          { "dead", 0, false } },
        { "no code and 255 that counts", { ok = "\255" }, { cause = "timeout", exit_code = -1 },
          { "dead", 0, false } },
    }
    for _, cause in ipairs { "signal", "timeout", "spawn", "lua", "outputs" } do
        cases[#cases + 1] = { cause, { retries = 1 }, { cause = cause, exit_code = 0 },
                              { "failed", 2000, false } }
        cases[#cases + 1] = { cause .. " at the last try", {}, { cause = cause, exit_code = 0 },
                              { "dead", 0, false } }
    end
    for _, case in ipairs(cases) do
        it("knows what becomes of " .. case[1], function()
            assert.same(case[4], decide(case[2], case[3]))
        end)
    end

    it("snoozes for as long as asked, whatever the tries", function()
        assert.same({ "pending", 12345, true },
                    decide({ tries = 9 }, { cause = "snooze" }, 12345))
        assert.same({ "pending", 500, true }, decide({}, { cause = "interrupted" }, 500))
        assert.same({ "pending", 0, true }, decide({}, { cause = "none" }, 0))
    end)

    it("gives the random number to the backoff", function()
        local job = { retries = 1, backoff = "fixed full 1000 1 1000" }
        assert.same({ "failed", 250, false }, decide(job, { exit_code = 1 }, 0, 0.25))
    end)

    it("gives the last wait to the backoff, but not the delay of the first start", function()
        local job = { tries = 2, retries = 9, delay_ms = 8000,
                      backoff = "decorrelated none 1000 1 1000000" }
        assert.same({ "failed", 12500, false }, decide(job, { exit_code = 1 }, 0, 0.5))
        job.tries = 1
        assert.same({ "failed", 2000, false }, decide(job, { exit_code = 1 }, 0, 0.5))
    end)

    describe("of a job with a max_age", function()
        local OLD = { retries = 9, created_at = 1000, max_age_ms = 60000,
                      backoff = "fixed none 10000 1 10000" }
        local function at(now, outcome, snooze_ms, job)
            return decide(job or OLD, outcome, snooze_ms, 0, now)
        end

        it("tries again while the next try begins in time", function()
            assert.same({ "failed", 10000, false }, at(51000, { exit_code = 1 }))
            assert.same({ "dead", "too old", false }, at(51001, { exit_code = 1 }))
            assert.same({ "dead", "too old", false }, at(900000, { cause = "timeout" }))
        end)

        it("snoozes only until then", function()
            assert.same({ "pending", 10000, true }, at(51000, { cause = "snooze" }, 10000))
            assert.same({ "dead", "too old", true }, at(51001, { cause = "snooze" }, 10000))
        end)

        it("keeps all other ends", function()
            local late = 900000
            assert.same({ "completed", 0, false }, at(late, {}))
            assert.same({ "cancelled", 0, false }, at(late, { cause = "cancelled" }))
            assert.same({ "pending", 0, true }, at(late, { cause = "interrupted" }))
            assert.same({ "pending", 0, true }, at(late, { cause = "none" }))
            assert.same({ "pending", 0, true }, at(late, { cause = "worker_lost" }))
            local last = { tries = 2, retries = 1, created_at = 1000, max_age_ms = 60000 }
            assert.same({ "dead", 0, false }, at(late, { exit_code = 1 }, 0, last))
        end)

        it("does not start it later, and that is no try", function()
            assert.same({ "dead", 0, true }, at(900000, { cause = "expired" }))
            local job = ffi.new("struct job", { created_at = 1000, max_age_ms = 60000 })
            assert.is_false(core.job_is_too_old(job, 61000))
            assert.is_true(core.job_is_too_old(job, 61001))
            job.retried_at = 900000
            assert.is_false(core.job_is_too_old(job, 960000))
            assert.is_true(core.job_is_too_old(job, 960001))
            job.retried_at = 500 -- the clock was set back
            assert.is_false(core.job_is_too_old(job, 61000))
            job.max_age_ms = 0
            assert.is_false(core.job_is_too_old(job, 1e15))
        end)
    end)

    describe("the table of changes of state", function()
        local may = {
            waiting = "pending skipped cancelled", pending = "processing cancelled held skipped",
            processing = "completed failed dead cancelled pending skipped",
            failed = "processing pending cancelled dead", dead = "pending",
            cancelled = "pending waiting", completed = "pending", skipped = "pending waiting",
            held = "pending cancelled skipped",
        }
        local final = { completed = true, dead = true, cancelled = true, skipped = true }

        it("allows just these", function()
            for from = 0, 8 do
                for to = 0, 8 do
                    local name, other = store.states[from], store.states[to]
                    local expected = (" " .. may[name] .. " "):find(" " .. other .. " ") ~= nil
                    assert.same({ name, other, expected },
                                { name, other, core.job_may_change(from, to) })
                end
                assert.equal(final[store.states[from]] or false, core.job_is_final(from))
            end
        end)

        it("has no place for a state that is none", function()
            for _, bad in ipairs { 9, 31, 32, 100, 4294967295 } do
                assert.is_false(core.job_may_change(bad, 1))
                assert.is_false(core.job_may_change(1, bad))
            end
        end)
    end)

    it("finds names, and nothing for what is none", function()
        assert.equal(5, core.name_find(core.job_state_names, 9, "dead"))
        for _, name in ipairs { "", "Dead", "deadx", "dea" } do
            assert.equal(-1, core.name_find(core.job_state_names, 9, name))
        end
        assert.equal(-1, core.name_find(core.job_state_names, 5, "dead"))
        assert.equal(-1, core.name_find(core.job_state_names, 9, nil))
    end)
end)
