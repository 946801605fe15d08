#!/usr/bin/env -S queuectl run
-- What a server does at night, on logs and a table of its own making:
--
--   scripts/run scripts/examples/nightly.lua                       begins in a second
--   scripts/run scripts/examples/nightly.lua -p at=02:30           waits for half past two
--   scripts/run scripts/examples/nightly.lua --detach -p at=02:30  leaves it to the workers
--
-- It shows a start at a time, an age after which nothing is begun, limits, tries with growing
-- waits, a job whose failure ends it all, one whose failure nobody minds, and the cleaning up.

local at = param "at" { default = "in 1s", desc = "02:30, tomorrow 02:30, in 5m …" }
local keep = param "keep" { type = "integer", default = 3, min = 1, desc = "dumps to keep" }

local folder, prepare = require "lib.scratch" ("nightly", { "MIRROR", "logs" })

-- For all: behind everybody else (nice), in bounds, and never begun when a day has gone by since
-- the run was stored, as it may have when the machine was off: then it is the next run's turn.
defaults {
    cwd = folder,
    timeout = "30m",
    max_age = "1d",
    limits = { nice = 19, memory = "1G", cpu = "10m" },
    retries = 1,
}

-- Old and new logs, as they may lie there in the evening.
local evening = job "evening" {
    needs = prepare,
    run = [[
        set -e
        mkdir -p logs dumps
        for day in 1 2 3 9 10; do
            seq 1 2000 >"logs/day-$day.log"
            touch -d "-$day days" "logs/day-$day.log"
        done
        for i in 1 2 3 4 5; do seq "$i" 500; done >table
    ]],
}

-- Never before the time. One night at a time: who finds the folder there ends the whole run at
-- once (fail_fast), but for jobs that wait for what goes wrong.
local lock = job "lock" {
    needs = evening,
    run_at = at,
    run = "mkdir LOCK",
    retries = 0,
    fail_fast = true,
}

-- A dump has its name when it is whole.
local dump = job "dump" {
    needs = lock,
    run = [[
        set -e
        file=dumps/$(date +%Y%m%d-%H%M%S.%N)
        sort -n table | gzip >"$file.part"
        mv "$file.part" "$file.gz"
        echo "file=$file.gz" >>"$QUEUECTL_OUTPUT"
    ]],
    outputs = { "file" },
    artifacts = { "dumps/*.gz" },
    timeout = "2h",
}

-- The other machine answers at the third try. The waits are 0.1 s, 0.2 s, 0.4 s … here; "1m" and a
-- cap of "1h" would be a real one's. `jitter` draws each wait between half of it and all of it, so
-- that a hundred machines do not ask in the same second.
local mirror = job "mirror" {
    needs = dump,
    run = {
        "sh", "-euc", [[
            [ "$QUEUECTL_ATTEMPT" -ge 3 ] || { echo "no answer" >&2; exit 1; }
            cp "$1" MIRROR
        ]], "mirror", dump.out.file,
    },
    retries = 5,
    backoff = { "exponential", base = "100ms", factor = 2, cap = "1s", jitter = "equal" },
}

-- Logs from before last week are packed. ok_codes: gzip warns with 2, and that is no failure.
local pack = job "pack-logs" {
    needs = lock,
    run = [[find logs -name '*.log' -mtime +7 -exec gzip --force {} +]],
    ok_codes = { 0, 2 },
}

-- Nice to have. Its failure is shown, but the run counts as well.
job "statistics" {
    needs = lock,
    run = "no-such-program logs",
    retries = 0,
    allow_failure = true,
}

-- All but the newest dumps go, once the new one is safe elsewhere. Names sort by their age.
local rotate = job "rotate" {
    needs = { mirror, pack },
    run = function(_, ctx)
        local dumps = ctx.fs.glob "dumps/*.gz"
        table.sort(dumps)
        for i = 1, #dumps - keep do
            ctx.fs.remove(dumps[i])
            ctx.log("info", "removed " .. dumps[i])
        end
        return { kept = math.min(#dumps, keep) }
    end,
}

-- Whatever happened. But when the lock was somebody else's it stays: then `lock` is not completed.
job "unlock" {
    needs = { lock, { dump, mirror, pack, rotate, on = "done" } },
    run = "rmdir LOCK",
    max_age = "none", -- this must be done, however late it is
}
