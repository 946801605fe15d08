-- meta = { … }: a user's own data, kept with the job. Only what JSON can carry, and not much.

local list = require "queuectl.jobs.list"
local text = require "queuectl.jobs.text"

local meta = {}

meta.MAX_BYTES = 4096

local MAX_DEPTH = 16

-- How a message begins: the entry's path, or nothing for the table itself.
local function at(path)
    return path == "" and "" or text.name(path) .. " "
end

local function join(path, key)
    return path == "" and key or path .. "." .. key
end

-- Bytes of a string in JSON if every character that may be escaped is.
local function string_size(str)
    local _, controls = str:gsub("[%z\1-\31\127]", "")
    local _, marks = str:gsub('["\\/]', "")
    return #str + 2 + controls * 5 + marks
end

local function copy_string(state, str, path)
    if not text.is_utf8(str) then return nil, at(path) .. "is not valid UTF-8" end
    state.size = state.size + string_size(str)
    return str
end

local function copy_number(state, number, path)
    if number ~= number or math.abs(number) == math.huge then
        return nil, at(path) .. "is not a finite number"
    end
    state.size = state.size + #text.number(number)
    return number
end

local copy_value

local function copy_list(state, given, path, depth)
    local result = {}
    for i, value in ipairs(given) do
        local copied, message = copy_value(state, value, ("%s[%d]"):format(path, i), depth + 1)
        if copied == nil then return nil, message end
        result[i] = copied
        state.size = state.size + 1
    end
    return result
end

local function copy_map(state, given, path, depth)
    local result = {}
    for _, key in ipairs(text.sorted_keys(given)) do
        if type(key) ~= "string" then
            return nil, at(path) .. "mixes named entries with the key " .. text.describe(key)
        end
        local inner = join(path, key)
        local ok, message = copy_string(state, key, inner)
        if not ok then return nil, message end
        local copied
        copied, message = copy_value(state, given[key], inner, depth + 1)
        if copied == nil then return nil, message end
        result[key] = copied
        state.size = state.size + 2
    end
    return result
end

local function copy_table(state, given, path, depth)
    if getmetatable(given) then
        return nil, at(path) .. "must be plain data, not " .. text.kind(given)
    end
    if depth > MAX_DEPTH then return nil, ("nested deeper than %d tables"):format(MAX_DEPTH) end
    state.size = state.size + 2
    if list.length(given) then return copy_list(state, given, path, depth) end
    return copy_map(state, given, path, depth)
end

function copy_value(state, value, path, depth)
    if state.size > state.limit then
        return nil, ("more than %d bytes as JSON"):format(meta.MAX_BYTES)
    end
    local kind = type(value)
    if kind == "boolean" then
        state.size = state.size + 5
        return value
    end
    if kind == "string" then return copy_string(state, value, path) end
    if kind == "number" then return copy_number(state, value, path) end
    if kind == "table" then return copy_table(state, value, path, depth) end
    return nil, at(path) .. "must be plain data, not " .. text.kind(value)
end

--- A copy of a plain table, or nil and a message. `encode` (optional) gives its JSON text and so
-- its exact size; without it the size is counted on the safe side.
function meta.read(value, encode)
    if type(value) ~= "table" or getmetatable(value) then
        return nil, "must be a table, not " .. text.describe(value)
    end
    -- The safe count is at most six times the exact one.
    local state = { size = 0, limit = encode and 6 * meta.MAX_BYTES or meta.MAX_BYTES }
    local copied, message = copy_value(state, value, "", 1)
    if copied == nil then return nil, message end
    local size = encode and #encode(copied) or state.size
    if size > meta.MAX_BYTES then
        return nil, ("%d bytes as JSON; the limit is %d"):format(size, meta.MAX_BYTES)
    end
    return copied
end

return meta
