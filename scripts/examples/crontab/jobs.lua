#!/usr/bin/env -S queuectl run
-- The commands of crontab.before as jobs; `crontab` beside it calls them.
--
--   scripts/run scripts/examples/crontab/jobs.lua --only upload
--   scripts/run scripts/examples/crontab/jobs.lua                  all of them, to try them out
--
-- When jobs run is still cron's: queuectl has no schedules yet. What is gained: tries, time limits
-- and order, the output of each night (queuectl runs list), and a run that was cut off goes on
-- (queuectl run --resume). The last line of the crontab needs no file: it queues a command for a
-- worker that is always there (queuectl worker start).

-- Jobs work in `cwd`, which is relative to this file; a real server has its own folder.
defaults { cwd = "out", timeout = "10m", backoff = { "exponential", base = "1s", cap = "10m" } }

local prepare = job "prepare" { cwd = ".", run = "mkdir -p out", retries = 0 }

-- 10 2 * * *. What && has joined are two jobs: if the second fails, the first is not repeated.
local dump = job "dump" { needs = prepare, run = "seq 1000 | gzip >dump.gz", timeout = "1h" }
job "upload" {
    needs = dump,
    run = "mkdir -p elsewhere && cp dump.gz elsewhere/",
    retries = 8,
}

-- */15. One job a feed: one that is slow or broken keeps none of the others from being read.
-- The next quarter of an hour comes soon, so nothing is tried again.
job "feed" {
    needs = prepare,
    matrix = { name = { "news", "weather", "sport" } },
    run = [[
        set -e
        echo "of $(date)" >"$MATRIX_NAME.part"
        mv "$MATRIX_NAME.part" "$MATRIX_NAME"
    ]],
    retries = 0,
}

-- 0 6 * * 1. `|| mail` is a job that needs the failure of another; else it is skipped.
local report = job "report" { needs = prepare, run = "ls -l >report.txt", retries = 1 }
job "complain" {
    needs = { { report, on = "failure" } },
    run = function(_, ctx) ctx.log("error", "no report: " .. ctx.needs.report.error) end,
}

-- 30 3 1 * *
job "tidy" {
    needs = prepare,
    run = { "find", ".", "-name", "*.log", "-mtime", "+90", "-delete" },
    limits = { nice = 19 },
}
