-- Lists as a user writes them: plain tables with the keys 1..n and no holes.

local text = require "queuectl.jobs.text"

local list = {}

--- The length of a list, or nil and what is wrong with it.
function list.length(value)
    if type(value) ~= "table" or getmetatable(value) then
        local way_out = type(value) == "string" and #value <= 40 and not value:find "[%c\"]"
            and ("; write { \"%s\" }"):format(value) or ""
        return nil, "must be a list, not " .. text.describe(value) .. way_out
    end
    local count, highest = 0, 0
    for key in next, value do
        if type(key) ~= "number" then
            return nil, "must be a list; it has the key " .. text.describe(key)
        end
        count, highest = count + 1, math.max(highest, key)
    end
    for i = 1, count do
        if value[i] == nil then return nil, ("entry %d is nil"):format(i) end
    end
    return count
end

--- Checks each entry of a list: `check(entry)` returns a value, or nil and a message that
-- follows "entry N ". Returns a new list, or nil and the first problem.
function list.map(value, check)
    local length, problem = list.length(value)
    if not length then return nil, problem end
    local result = {}
    for i = 1, length do
        local checked, message = check(value[i])
        if checked == nil then return nil, ("entry %d %s"):format(i, message) end
        result[i] = checked
    end
    return result
end

function list.contains(values, wanted)
    for _, value in ipairs(values) do
        if value == wanted then return true end
    end
    return false
end

--- nil, or the first entry that occurs twice.
function list.repeated(values)
    local seen = {}
    for _, value in ipairs(values) do
        if seen[value] then return value end
        seen[value] = true
    end
end

return list
