#!/usr/bin/env -S queuectl run
-- orders.yaml beside it, as jobs.
--
--   scripts/run scripts/examples/dagu/jobs.lua
--   scripts/run scripts/examples/dagu/jobs.lua -p day=2026-02-01

-- params:
local day = param "day" { default = "2026-01-31" }

-- env: for all steps. Jobs work in the folder of this file, so `out` is beside it.
defaults { env = { DATA = "out", DAY = day }, retries = 0 }

local lock = job "lock" { run = [[mkdir -p "$DATA" && touch "$DATA/lock"]] }

-- retryPolicy: { limit: 3, intervalSec: 10 }; one second here.
local fetch = job "fetch" {
    needs = lock,
    run = [[seq 1 100 >"$DATA/$DAY.txt"]],
    retries = 3,
    backoff = { "fixed", base = "1s" },
}

-- output: COUNT takes what is printed. Here a job says what it hands on, in as many values as it
-- likes, and may print what it wants.
local count = job "count" {
    needs = fetch,
    run = [[echo "count=$(wc -l <"$DATA/$DAY.txt")" >>"$QUEUECTL_OUTPUT"]],
    outputs = { "count" },
}

-- continueOn: { failure: true } is said twice: the failure does not count (here), and the job that
-- comes after does not mind it (`on = "done"` in publish).
local checksum = job "checksum" {
    needs = fetch,
    run = [[sha256sum "$DATA/$DAY.txt" >"$DATA/$DAY.sum"]],
    allow_failure = true,
}

-- preconditions: a function that says true or false. `os.date` would do; this asks as dagu does.
local weekly = job "weekly" {
    needs = fetch,
    when = function(ctx)
        return ctx.exec({ "date", "+%u" }, { check = true }).stdout == "7\n"
    end,
    run = [[cat "$DATA"/*.txt >"$DATA/week"]],
}

-- The value comes as an argument. It brings its dependency with it.
local publish = job "publish" {
    needs = { { checksum, on = "done" } },
    run = { "echo", count.out.count, "orders of", day },
}

-- handlerOn: exit
job "unlock" {
    needs = { { lock, fetch, count, checksum, weekly, publish, on = "done" } },
    run = [[rm -f "$DATA/lock"]],
}
