#!/usr/bin/env -S queuectl run
-- Builds this project and runs its checks, as many at a time as there are processors:
--
--   scripts/run scripts/examples/checks.lua
--   CHECKS=all scripts/run scripts/examples/checks.lua    also the slow ones, with clang
--
-- Exit code 0 means that all is well; else the end of the run says what is not, and
-- build/checks.txt has the state of every job.

-- `./` is the project: paths are relative to this file. A check that fails would fail again.
defaults { cwd = "../..", retries = 0, timeout = "30m" }

local checks = { "format", "luacheck_all", "layers", "calls", "size" }
local slow = { "clang", "tidy" }

-- Installs missing Debian packages when root runs this, and else names them.
local setup = job "setup" { run = { "scripts/setup", "test" }, priority = 2 }

-- What others wait for goes first: of jobs that could start, the larger priority does.
local build = job "build" { needs = setup, run = { "scripts/build" }, priority = 1 }

-- One job per check: lint[check=calls] … Each runs on its own, so one that finds something keeps
-- none of the others from being heard.
local lint = job "lint" {
    needs = setup,
    matrix = { check = checks },
    run = "scripts/lint $MATRIX_CHECK",
}

local specs = job "specs" { needs = build, run = { "scripts/test", "spec/unit" } }

local all = { setup, build, lint, specs }
if os.getenv "CHECKS" == "all" then
    for _, name in ipairs(slow) do
        all[#all + 1] = job("lint-" .. name) {
            needs = all[#all], -- clang and tidy use the same build: one after the other
            run = { "scripts/lint", name },
        }
    end
end

-- Runs when everything has ended, well or not, and asks the store how.
all.on = "done"
job "summary" {
    needs = { all },
    run = [[build/queuectl list --run "$QUEUECTL_RUN" -o table | tee build/checks.txt]],
}
