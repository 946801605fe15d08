#!/usr/bin/env -S queuectl run
-- make clean, which nobody wants to happen together with the rest:
--
--   scripts/run scripts/examples/make/clean.lua
job "clean" { run = "rm -rf out" }
