-- Jobs that come too late.

local added = require "worker.added"

describe("max_age of a job", function()
    it("keeps it from starting later than that", function()
        local job, q = added({ command = "echo ran > ran", delay_ms = "50", max_age_ms = "1" })
        assert.same({ "dead", "expired", 0 }, { job.state, job.cause, job.attempts })
        assert.equal("not started: older than its max_age of 1ms", job.last_error)
        assert.equal("", q:read("ran"))
        assert.same({}, job.history)
    end)

    it("is no limit for what starts in time", function()
        local job = added({ command = "true", delay_ms = "50", max_age_ms = "3600000" })
        assert.equal("completed", job.state, job.last_error)
    end)

    it("ends the tries where the next one would begin later", function()
        local job = added({ command = "exit 3", retries = "5", max_age_ms = "3600000",
                            backoff = "fixed none 5400000 1 5400000" })
        assert.same({ "dead", "exit", 1 }, { job.state, job.cause, job.attempts })
        assert.equal("exit 3 (no further try: older than its max_age of 1h)", job.last_error)
    end)

    it("leaves the tries before it", function()
        local job = added({ command = "exit 3", retries = "2", max_age_ms = "3600000",
                            backoff = "fixed none 10 1 10" })
        assert.same({ "dead", 3, "exit 3" }, { job.state, job.attempts, job.last_error })
    end)

    it("has room for its note behind a long error", function()
        local job = added({ command = "printf '%01500d' 7 >&2; exit 3", retries = "5",
                            max_age_ms = "1000", backoff = "fixed none 9000 1 9000" })
        assert.match("^exit 3: 0+ %(no further try: older than its max_age of 1s%)$",
                     (job.last_error:gsub("7 %(", " (")))
        assert.is_true(#job.last_error <= 1024)
    end)
end)
