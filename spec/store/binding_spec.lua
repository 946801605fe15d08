local ffi = require "ffi"
local t = require "support"
local store = require "support.store"

describe("the binding of the specs to the C core", function()
    it("has the layout that the compiler gives the headers", function()
        local ours, theirs = store.cdefs.ours(), store.cdefs.compiled(t.tmpdir())
        assert.is_true(ours["struct job"] > 300 and ours.JOB_SKIPPED == 7)
        assert.is_not_nil(ours["struct store_ops.checkpoint"])
        assert.same(theirs, ours)
    end)

    it("lets no function pointer of the table of operations be empty", function()
        local s = store.open(t.store())
        for _, name in ipairs(store.cdefs.fields["struct store_ops"]) do
            assert.is_true(s.ops[name] ~= ffi.cast("void *", nil), name)
        end
        s:close()
    end)

    it("tells a failed operation from anything else that is raised", function()
        local e = store.failure(store.open, t.tmpdir() .. "/none", 0)
        assert.equal(6, e.code)
        assert.has_error(function() store.failure(error, "no failure") end, "no failure")
        assert.has_error(function() store.failure(function() end) end)
    end)

    it("checks that values come back as they were given", function()
        local s = store.open(t.store())
        local given = { id = "an-id", name = "a name", queue = "q", group = "g", cwd = "/tmp",
                        kind = "argv", command = "=a\0=b c\0", env = "=X=1\0-Y\0", retries = 7,
                        priority = -5, timeout_ms = 12345, kill_after_ms = 77, delay_ms = 60000,
                        backoff = "fixed none 1000 2 300000", ok_codes = "\0\7\255",
                        allow_failure = true, outputs = "=o\0", stdin_text = "in\0\1\255",
                        description = "words", tags = "[\"x\"]", meta = "{}",
                        artifacts = "=*.log\0=a b\0", when = true, fail_fast = true,
                        start_at = 4711, max_age_ms = 815, limits = "1 2 3 4", source = "hash" }
        local before = store.wall_ms()
        local e = s:enqueue { id = "an-id", name = "a name", queue = "q", group = "g",
                              cwd = "/tmp", argv = { "a", "b c" },
                              env = { "X=1", { unset = "Y" } }, retries = 7, priority = -5,
                              timeout_ms = 12345, kill_after_ms = 77, delay_ms = 60000,
                              backoff = given.backoff, ok_codes = given.ok_codes,
                              allow_failure = true, outputs = { "o" }, stdin = given.stdin_text,
                              description = "words", tags = given.tags, meta = "{}",
                              artifacts = { "*.log", "a b" }, when = true, fail_fast = true,
                              start_at = 4711, max_age_ms = 815, limits = "1 2 3 4",
                              source = "hash" }
        local job = s:get(e.seq)
        for name, value in pairs(given) do assert.same({ name, value }, { name, job[name] }) end
        assert.same({ "pending", 0, 0, 0, 0, 0, -1, -1 },
                    { job.state, job.tries, job.starts, job.deaths, job.waits, job.worker,
                      job.exit_code, job.signal })
        assert.is_true(job.created_at >= before and job.created_at <= store.wall_ms())
        assert.equal(job.created_at + 60000, job.run_at)
        assert.equal(e.run_at, job.run_at)
        for _, name in ipairs { "error", "stdin_path" } do assert.is_nil(job[name]) end
        s:close()
    end)
end)
