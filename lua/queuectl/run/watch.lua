-- Again whenever a file changes: --watch.

local core = require "queuectl.core"
local context = require "queuectl.context"
local json = require "queuectl.json"
local text = require "queuectl.view.text"

local watch = {}

-- ---- what a plan was made of ----

local function text_of(path)
    local file = core.stat(path) == "file" and io.open(path, "rb")
    local bytes = file and file:read("*a")
    if file then file:close() end
    return bytes or false
end

local Seen = {}
Seen.__index = Seen

--- Remembers which files were looked for, and the text that was found in them, or false. `files`:
-- those that count in any case, absolute.
function watch.seen(files)
    local self = setmetatable({ texts = {} }, Seen)
    for _, path in ipairs(files) do self:read(path) end
    return self
end

--- The text of a module as jobs.plan_files asks for it, or nil.
function Seen:read(path)
    local bytes = text_of(path)
    self.texts[path] = bytes
    return bytes or nil
end

-- One whose text is another one by now.
function Seen:changed()
    for path, bytes in pairs(self.texts) do
        if text_of(path) ~= bytes then return path end
    end
end

-- ---- waiting ----

-- The path, or where there is no such folder what would have to come first.
local function nearest(path)
    local folder = path:match("^(.+)/[^/]*$") or "/"
    while core.stat(folder) ~= "dir" do
        path, folder = folder, folder:match("^(.+)/[^/]*$") or "/"
    end
    return path
end

local function new_watcher(seen, paths)
    local watcher, message, code = core.watcher()
    if not watcher then return nil, message, code end
    local all = {}
    for path in pairs(seen.texts) do all[#all + 1] = path end
    for _, path in ipairs(paths) do all[#all + 1] = path end
    for _, path in ipairs(all) do
        local ok
        ok, message, code = watcher:add(nearest(path))
        if not ok then return nil, message, code end
    end
    return watcher
end

-- The path that changed, or nil, number of a signal; or nil, nil, message, exit code. What changed
-- while the watcher was made shows in the texts, and later it is heard.
local function wait(ctx, seen, paths)
    local watcher, message, code = new_watcher(seen, paths)
    if not watcher then return nil, nil, message, code end
    local changed = seen:changed()
    if changed then return changed end
    if ctx.json then ctx:print(json.encode { event = "waiting" } .. "\n") end
    ctx:note("waiting for a change (Ctrl-C ends it)")
    ctx:flush()
    return watcher:wait()
end

local function announce(ctx, path)
    if ctx.json then
        ctx:print(json.encode(json.object { { "event", "changed" }, { "path", path } }) .. "\n")
    end
    ctx:note(("\n%s changed"):format(text.line(path)))
end

--- Calls once(seen) -> { code =, signal = }, and again after each change of `files`, of what once()
-- has read by seen:read, or of `paths` (files, and folders with all below them), until a signal
-- comes. Changes below `paths` that are made while jobs run do not count: the jobs themselves may
-- make them. Returns the last result; by TERM its code is 143.
function watch.run(ctx, files, paths, once)
    core.catch_signals()
    while true do
        local seen = watch.seen(files)
        local result = once(seen)
        if result.signal then return result end
        local changed, signal, message, code = wait(ctx, seen, paths)
        if message then return nil, message, code end
        if signal then
            local ended = signal == context.INTERRUPTED - 128
            return ended and result or { code = 128 + signal, signal = signal }
        end
        announce(ctx, changed)
    end
end

return watch
