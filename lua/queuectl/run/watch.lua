-- Again whenever a file changes: --watch.

local core = require "queuectl.core"
local program = require "queuectl.jobs.program"
local text = require "queuectl.view.text"

local watch = {}

--- The files a plan was made of: jobs files and modules, as real paths.
function watch.files_of(plan)
    local read = program.read(plan.document, plan.path)
    local paths = {}
    for _, list in ipairs { read.files, read.modules } do
        for _, file in ipairs(list) do paths[#paths + 1] = file.path end
    end
    return paths
end

local function text_of(path)
    local file = io.open(path, "rb")
    local bytes = file and file:read("*a")
    if file then file:close() end
    return bytes
end

-- A file of the program that changed while its jobs ran.
local function changed_meanwhile(plan)
    local read = plan and program.read(plan.document, plan.path) or { files = {}, modules = {} }
    for _, list in ipairs { read.files, read.modules } do
        for _, file in ipairs(list) do
            if text_of(file.path) ~= file.text then return file.path end
        end
    end
end

local function new_watcher(paths)
    local watcher, message, code = core.watcher()
    for _, path in ipairs(watcher and paths or {}) do
        local ok
        ok, message, code = watcher:add(path)
        if not ok then return nil, message, code end
    end
    return watcher, message, code
end

--- Calls once() -> result, plan or nil; and again after each change of the plan's files or of
-- `paths` (files, and folders with all below them), until a signal comes. `files` are watched as
-- long as there is no plan. Changes below `paths` that are made while jobs run do not count:
-- the jobs themselves may make them. Returns the last result.
function watch.run(ctx, files, paths, once)
    core.catch_signals()
    while true do
        local result, plan = once()
        if result and result.signal then return result end
        local all = plan and watch.files_of(plan) or files
        for _, path in ipairs(paths) do all[#all + 1] = path end
        local changed, signal = changed_meanwhile(plan), nil
        if not changed then
            local watcher, message, code = new_watcher(all)
            if not watcher then return nil, message, code end
            ctx:note("waiting for a change (Ctrl-C ends it)")
            changed, signal = watcher:wait()
        end
        if signal then return result or {} end
        ctx:note(("\n%s changed"):format(text.line(changed)))
    end
end

return watch
