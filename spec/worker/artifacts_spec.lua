-- Files that a job promises to make.

local added = require "worker.added"

local MAKE = "mkdir -p dist; printf 12345 > dist/a.txt; : > dist/b.txt; echo x > log"

describe("artifacts of a job", function()
    it("are kept with the job when it is completed", function()
        local job = added({ command = MAKE, artifacts = "=dist/*.txt\0=log\0=dist\0" })
        assert.equal("completed", job.state, job.last_error)
        assert.same({ { path = "dist", bytes = 0 }, { path = "dist/a.txt", bytes = 5 },
                      { path = "dist/b.txt", bytes = 0 }, { path = "log", bytes = 2 } },
                    job.artifacts)
    end)

    it("that were not made fail the try", function()
        local job = added({ command = MAKE, artifacts = "=log\0=dist/*.tar.gz\0" })
        assert.same({ "dead", "outputs", "promised artifact 'dist/*.tar.gz' was not made" },
                    { job.state, job.cause, job.last_error })
        assert.is_nil(job.artifacts)
    end)

    it("may be made by a later try", function()
        local job = added({ command = "[ -e once ] && echo 1 > log; : > once",
                            retries = "1", backoff = "fixed none 10 1 10", artifacts = "=log\0" })
        assert.same({ "completed", 2 }, { job.state, job.attempts })
        assert.equal("outputs", job.history[1].cause)
        assert.same({ { path = "log", bytes = 2 } }, job.artifacts)
    end)

    it("are not looked for after a failure", function()
        local job = added({ command = MAKE .. "; exit 4", artifacts = "=log\0" })
        assert.same({ "dead", "exit 4" }, { job.state, job.last_error })
        assert.is_nil(job.artifacts)
    end)

    it("have no secret in their names", function()
        local job, q = added({ command = ': > "log-$A"', artifacts = "=log-*\0",
                               env = "$A=env:SPEC_SECRET\0" },
                             { env = { SPEC_SECRET = "hunter2" } })
        assert.same({ { path = "log-***", bytes = 0 } }, job.artifacts)
        assert.is_nil(q:q("show", "--json", job.id).out:find("hunter2", 1, true))
    end)
end)
