#!/usr/bin/env -S queuectl run
-- Jobs that go wrong, and what becomes of them. Runs for about a second and ends with exit
-- code 1 on purpose, because one job stays dead:
--
--   scripts/run scripts/examples/flaky.lua

-- lib/scratch.lua: a folder to write into, and the job that makes it, without what is left there.
local folder, prepare = require "lib.scratch" ("flaky", { "arrived", "alarm" })

defaults { env = { FOLDER = folder }, backoff = { "100ms", "300ms" } }

-- Fails twice and then succeeds: first try, wait 0.1 s, second try, wait 0.3 s, third try.
local unreliable = job "unreliable" {
    needs = prepare,
    run = [[
        if [ "$QUEUECTL_ATTEMPT" -lt 3 ]; then
            echo "the network is down" >&2
            exit 7
        fi
    ]],
    retries = 2,
}

-- Its time is up after half a second: TERM, and KILL after `kill_after` for what ignores that.
-- Nobody minds, thanks to allow_failure.
job "slow" {
    needs = prepare,
    run = "sleep 60",
    timeout = "500ms",
    kill_after = "1s",
    retries = 0,
    allow_failure = true,
}

-- Fails whenever it is tried, and is then dead. This makes the exit code of the run 1.
job "hopeless" {
    needs = prepare,
    run = "echo 'no such customer' >&2; exit 4",
    retries = 1,
}

-- Of the jobs that need it, one runs only after success and is skipped …
job "invoice" { needs = "hopeless", run = "true" }

-- … one only after failure …
job "alarm" {
    needs = { { "hopeless", on = "failure" } },
    run = [[echo "hopeless has failed" >"$FOLDER/alarm"]],
}

-- … and one in either case.
job "tidy" {
    needs = { { "hopeless", on = "done" }, unreliable, "wait-for-parcel" },
    run = [[rm -f "$FOLDER/arrived"]],
}

-- Something that comes when it comes.
job "parcel" { needs = prepare, run = [[: >"$FOLDER/arrived"]], delay = "700ms" }

-- A Lua job that looks for it. To snooze is to ask again later without having failed: it takes
-- nothing from the tries.
job "wait-for-parcel" {
    needs = prepare,
    run = function(_, ctx)
        ctx.progress(0.5, "looking")
        if not ctx.fs.exists(folder .. "/arrived") then
            return ctx.snooze("200ms", "not there yet")
        end
        return { tries = ctx.attempt }
    end,
}

-- A Lua job that knows that trying again is of no use. Without allow_failure it would be a second
-- reason for exit code 1.
job "refused" {
    needs = prepare,
    run = function(_, ctx)
        local answer = ctx.exec { "sh", "-c", "echo '403 forbidden'" }
        if answer.stdout:find "^403" then
            return ctx.fail("refused: " .. answer.stdout, { retry = false })
        end
    end,
    allow_failure = true,
}
