-- busted's output for this project: a line per file, every failure in full, the slowest specs.
-- The counts go to the file named by SPEC_RESULT, from which scripts/test prints the last line.

local busted = require "busted"
local handler = require "busted.outputHandlers.base"()

local SLOWEST = 5

local all = { passed = 0, failed = 0 }
local file = { passed = 0, failed = 0 }
local specs = {}

local function count(what)
    all[what] = all[what] + 1
    file[what] = file[what] + 1
end

local function indented(text)
    return "  " .. tostring(text):gsub("\n", "\n  ")
end

local function take_notes()
    return package.loaded.support and package.loaded.support.take_notes() or {}
end

local function show(kind, element, message, trace)
    local where = element.trace or trace or {}
    print(("\n%s %s:%s"):format(kind, where.short_src or "?", where.currentline or "?"))
    print(indented(handler.getFullName(element)))
    print(indented(message))
    for _, note in ipairs(take_notes()) do print(indented(note)) end
    if kind == "ERROR" and trace and trace.traceback then
        print(indented(trace.traceback:match("^%s*(.-)%s*$")))
    end
    io.flush()
end

local function fail_as(kind)
    return function(element, _, message, trace)
        count "failed"
        show(kind, element, message, trace)
        return nil, true
    end
end

local function test_end(element, parent, status)
    if status == "success" then
        count "passed"
    elseif status == "pending" then
        fail_as "PENDING"(element, parent, "a pending spec counts as failed")
    end
    specs[#specs + 1] = { name = handler.getFullName(element), seconds = element.duration or 0 }
    return nil, true
end

local function file_start()
    file = { passed = 0, failed = 0 }
    return nil, true
end

local function file_end(element)
    if file.passed + file.failed > 0 then
        local name = element.name:gsub("^%./", "")
        print(("%-50s %4d passed %3d failed %7.2f s"):format(name, file.passed, file.failed,
              element.duration or 0))
        io.flush()
    end
    return nil, true
end

local function show_slowest()
    table.sort(specs, function(a, b) return a.seconds > b.seconds end)
    print("\nslowest:")
    for i = 1, math.min(SLOWEST, #specs) do
        print(("%7.2f s  %s"):format(specs[i].seconds, specs[i].name))
    end
end

local function suite_end()
    show_slowest()
    if #specs == 0 and all.failed == 0 then
        print("no spec was run")
        count "failed"
    end
    local path = os.getenv("SPEC_RESULT")
    if path then
        local out = assert(io.open(path, "w"))
        out:write(("%d passed, %d failed\n"):format(all.passed, all.failed))
        out:close()
    end
    return nil, true
end

return function()
    busted.subscribe({ "failure" }, fail_as "FAILED")
    busted.subscribe({ "error" }, fail_as "ERROR")
    busted.subscribe({ "test", "end" }, test_end)
    busted.subscribe({ "file", "start" }, file_start)
    busted.subscribe({ "file", "end" }, file_end)
    busted.subscribe({ "suite", "end" }, suite_end)
    return handler
end
