#!/usr/bin/env -S queuectl run
-- Builds this project and runs its checks, as many at a time as there are processors:
--
--   scripts/run scripts/examples/checks.lua
--   CHECKS=all scripts/run scripts/examples/checks.lua    also the slow ones, with clang
--
-- Exit code 0 means that all is well; else the last lines say what is not. build/checks.txt has
-- the state of every job. It writes into build/ alone, as scripts/build and scripts/test do.

-- Jobs run in the project's folder: `cwd` is relative to this file. What a check finds it would
-- find again, so nothing is tried twice.
defaults { cwd = "../..", retries = 0, timeout = "30m" }

local checks = { "format", "luacheck_all", "layers", "calls", "size" }

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

-- A list of jobs may say for all of them how they have to end: with "done" it does not matter.
local everything = { setup, build, lint, specs, on = "done" }
if os.getenv "CHECKS" == "all" then
    everything[#everything + 1] = job "slow" { needs = setup, run = "scripts/lint clang tidy" }
end

-- Asks the store how the jobs of this run have ended.
job "summary" {
    needs = { everything },
    run = [[build/queuectl list --run "$QUEUECTL_RUN" -o table | tee build/checks.txt]],
}
