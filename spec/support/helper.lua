-- Loaded by busted before any spec file: cleans up after each spec and each file.

-- LuaJIT 2.1.0-beta3 has crashed in what it had compiled of long runs.
jit.off()

local busted = require "busted"
local t = require "support"
local process = require "support.process"
local files = require "support.files"

local failed = {} -- elements of the current file that failed

local function note_failure(element)
    failed[element] = true
    return nil, true
end

-- A directory made outside of a spec may matter to any that failed.
local function keep(spec)
    return os.getenv("KEEP") == "1" or failed[spec] or not spec and next(failed) ~= nil
end

local function spec_start(element)
    files.spec_start(element)
    return nil, true
end

local function spec_end()
    process.clean()
    files.spec_end()
    t.take_notes()
    return nil, true
end

local function file_end()
    process.clean(true)
    local kept = files.clean(keep)
    if #kept > 0 then print("    kept: " .. table.concat(kept, " ")) end
    failed = {}
    return nil, true
end

busted.subscribe({ "failure" }, note_failure)
busted.subscribe({ "error" }, note_failure)
busted.subscribe({ "test", "start" }, spec_start)
busted.subscribe({ "test", "end" }, spec_end)
busted.subscribe({ "file", "end" }, file_end)
