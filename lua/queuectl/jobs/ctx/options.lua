-- Options of ctx's functions: tables of named values. A reader returns the value to use (nil when
-- nothing was given), or nil and what is wrong.

local ref = require "queuectl.jobs.ref"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local options = {}

options.NO_VALUE = "is an output of another job, which has no value here; "
    .. "read it from ctx.outputs"

--- The options themselves, an empty table for nil; or nil and what is wrong.
function options.check(given, names)
    if given == nil then return {} end
    if type(given) ~= "table" then
        return nil, "options must be a table, not " .. text.describe(given)
    end
    for _, key in ipairs(text.sorted_keys(given)) do
        local known = false
        for _, name in ipairs(names) do known = known or name == key end
        if not known then
            local shown = tostring(key)
            return nil, ("unknown option %s%s"):format(text.name(shown), suggest.hint(shown, names))
        end
    end
    return given
end

--- Reads all of `given` by a list of { name, reader, field or nil }.
function options.read(given, readers)
    local names = {}
    for i, reader in ipairs(readers) do names[i] = reader[1] end
    local checked, message = options.check(given, names)
    if not checked then return nil, message end
    local result = {}
    for _, reader in ipairs(readers) do
        local value, problem = reader[2](checked[reader[1]])
        if problem then return nil, ("%s: %s"):format(reader[1], problem) end
        result[reader[3] or reader[1]] = value
    end
    return result
end

function options.boolean(given)
    if given == nil or type(given) == "boolean" then return given end
    return nil, "must be true or false, not " .. text.describe(given)
end

function options.string(given)
    if given == nil then return nil end
    if ref.token(given) then return nil, options.NO_VALUE end
    if type(given) ~= "string" then return nil, "must be a string, not " .. text.describe(given) end
    return given
end

--- A string that goes to the system: no NUL.
function options.path(given)
    local str, message = options.string(given)
    if not str then return nil, message end
    if str == "" then return nil, "is empty" end
    if str:find("%z") then return nil, "contains a NUL byte" end
    return str
end

--- Milliseconds; "none" is as if nothing was given.
function options.timeout(given)
    if given == nil or given == "none" then return nil end
    local ms, message = time.parse_duration(given)
    if ms == 0 then return nil, "must be longer than 0; write \"none\" for no limit" end
    return ms, message
end

function options.duration(given)
    if given == nil then return nil end
    return time.parse_duration(given)
end

return options
