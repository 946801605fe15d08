-- needs = build | "build" | { build, "test", { "deploy", on = "done" } }
-- What the names mean is found out when all jobs are known (jobs/build.lua).

local list = require "queuectl.jobs.list"
local ref = require "queuectl.jobs.ref"
local schema = require "queuectl.schema"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local needs = {}

local function check_on(on)
    for _, name in ipairs(schema.needs_on) do
        if on == name then return true end
    end
    local hint = type(on) == "string" and suggest.hint(on, schema.needs_on) or ""
    return nil, ("on must be \"success\", \"failure\" or \"done\", not %s%s"):format(
        text.describe(on), hint)
end

-- A job or a name as { def = } or { name = }, or nil.
local function read_target(value, on)
    local def = ref.def(value)
    if def then return { def = def, on = on } end
    if type(value) == "string" then return { name = value, on = on } end
end

-- Splits { "x", on = "done" } into its list { "x" } and "done".
local function split_entry(entry)
    local targets, on = {}, nil
    for key, value in next, entry do
        if key == "on" then
            on = value
        elseif type(key) == "string" then
            return nil, ("unknown key %s%s"):format(text.name(key), suggest.hint(key, { "on" }))
        else
            targets[key] = value
        end
    end
    return targets, on
end

local function wrong_target(value, index)
    local what = ref.token(value) and "a job output; outputs bring their own dependency"
        or type(value) == "function" and "a function (a job without its table?)"
        or text.describe(value)
    return (index and ("entry %d "):format(index) or "")
        .. "must be a job or the name of one, not " .. what
end

local read_entry

-- Appends what the list `entry` names to `result`; a list may hold lists, but those no further.
local function read_list(result, entry, depth)
    local targets, on = split_entry(entry)
    if not targets then return nil, on end
    if on ~= nil then
        local ok, message = check_on(on)
        if not ok then return nil, message end
    end
    local length, message = list.length(targets)
    if not length then return nil, message end
    if length == 0 and on ~= nil then return nil, "{ on = ... } names no job" end
    for i = 1, length do
        local ok, problem = read_entry(result, targets[i], on, depth, i)
        if not ok then return nil, problem end
    end
    return true
end

function read_entry(result, value, on, depth, index)
    local target = read_target(value, on or "success")
    if target then
        result[#result + 1] = target
        return true
    end
    if type(value) == "table" and not getmetatable(value) and depth < 2 and not on then
        local ok, message = read_list(result, value, depth + 1)
        if not ok and index then message = ("entry %d: %s"):format(index, message) end
        return ok, message
    end
    return nil, wrong_target(value, index)
end

--- A list of { def = | name =, on = }, or nil and a message.
function needs.read(value)
    local result = {}
    local ok, message = read_entry(result, value, nil, 0, nil)
    if not ok then return nil, message end
    return result
end

return needs
