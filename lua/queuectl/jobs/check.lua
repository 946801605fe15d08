-- The checks named in schema.lua. Each gets the value given, the key's row and the context
-- { dir =, encode = }; it returns the normalised value, or nil and a message (or a list of them).

local backoff = require "queuectl.jobs.backoff"
local env = require "queuectl.jobs.env"
local list = require "queuectl.jobs.list"
local matrix = require "queuectl.jobs.matrix"
local meta = require "queuectl.jobs.meta"
local needs = require "queuectl.jobs.needs"
local ref = require "queuectl.jobs.ref"
local run = require "queuectl.jobs.run"
local schema = require "queuectl.schema"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local check = {}

local MAX_PATH = 4095
local MAX_NAME = 200

local function must_be(what, value)
    if ref.token(value) then
        return nil, "cannot be a job output; pass it through env or as an entry of a run list"
    end
    return nil, ("must be %s, not %s"):format(what, text.describe(value))
end

local function is_integer(value, min, max)
    return type(value) == "number" and value >= min and value <= max and value % 1 == 0
end

function check.boolean(value)
    if type(value) == "boolean" then return value end
    return must_be("true or false", value)
end

function check.integer(value, row)
    -- + 0: -0 becomes 0.
    if is_integer(value, row.min, row.max) then return value + 0 end
    return must_be(("a whole number from %d to %d"):format(row.min, row.max), value)
end

function check.retries(value, row)
    if value == "unlimited" then return row.max end
    if is_integer(value, row.min, row.max) then return value + 0 end
    return must_be(('a whole number from %d to %d or "unlimited"'):format(row.min, row.max), value)
end

function check.duration(value, row)
    if row.none and value == "none" then return 0 end
    if ref.token(value) then return must_be("a duration", value) end
    local ms, message = time.parse_duration(value)
    if not ms then return nil, message end
    if ms == 0 and row.positive then
        return nil, "must be longer than 0" .. (row.none and "; write \"none\" for no limit" or "")
    end
    return ms
end

function check.label(value)
    if type(value) ~= "string" then return must_be("a string", value) end
    if #value <= 64 and value:find("^[%w_][%w_.-]*$") then return value end
    return nil, ("bad name %s: 1 to 64 of A-Z a-z 0-9 _ . -, not starting with . or -"):format(
        text.quote(value))
end

--- A path as it will be used: below `dir` unless it is absolute.
local function resolve(path, dir)
    if path:sub(1, 1) == "/" or not dir then return path end
    local rest = path:gsub("^%./+", "")
    if rest == "." or rest == "" then return dir end
    return (dir:gsub("/+$", "")) .. "/" .. rest
end

function check.path(value, _, context)
    if type(value) ~= "string" then return must_be("a path", value) end
    if value == "" then return nil, "is empty" end
    if value:find("%z") then return nil, "contains a NUL byte" end
    local path = resolve(value, context.dir)
    if #path > MAX_PATH then
        return nil, ("a path of %d bytes; the limit is %d"):format(#path, MAX_PATH)
    end
    return path
end

--- { text = } or { file = }
function check.stdin(value, row, context)
    if type(value) == "string" then
        if #value <= row.max_bytes then return { text = value } end
        return nil, ('%d bytes; the limit is %d: use { file = "path" }'):format(
            #value, row.max_bytes)
    end
    if type(value) ~= "table" or getmetatable(value) then
        return must_be("a string or { file = \"path\" }", value)
    end
    for key in next, value do
        if key ~= "file" then return nil, "must be a string or { file = \"path\" }" end
    end
    if value.file == nil then return nil, "must be a string or { file = \"path\" }" end
    local path, message = check.path(value.file, row, context)
    if not path then return nil, "file: " .. message end
    return { file = path }
end

function check.prose(value, row)
    if type(value) ~= "string" then return must_be("a string", value) end
    local ok, message = text.check_printable((value:gsub("[\n\t]", " ")), 1, row.max_bytes)
    if not ok then return nil, message end
    return value
end

-- A list without repetitions; `check_entry` as for list.map.
local function read_set(value, max_entries, check_entry)
    if type(value) ~= "table" then return must_be("a list", value) end
    local result, message = list.map(value, check_entry)
    if not result then return nil, message end
    if max_entries and #result > max_entries then
        return nil, ("%d entries; the limit is %d"):format(#result, max_entries)
    end
    local twice = list.repeated(result)
    if twice then return nil, ("%s is listed twice"):format(text.name(tostring(twice))) end
    return result
end

function check.outputs(value, row)
    return read_set(value, row.max_entries, function(name)
        if type(name) ~= "string" then return must_be("a name", name) end
        if #name <= MAX_NAME and name:find(ref.NAME_PATTERN) then return name end
        return nil, ("is %s: a name has letters, digits and _"):format(text.quote(name))
    end)
end

function check.tags(value, row)
    return read_set(value, row.max_entries, function(tag)
        if type(tag) ~= "string" then return must_be("a string", tag) end
        local ok, message = text.check_printable(tag, 1, row.max_bytes)
        if not ok then return nil, message end
        return tag
    end)
end

function check.codes(value, row)
    local codes, message = read_set(value, nil, function(code)
        if is_integer(code, row.min, row.max) then return code + 0 end
        return must_be(("an exit code from %d to %d"):format(row.min, row.max), code)
    end)
    if not codes then return nil, message end
    if #codes == 0 then return nil, "is empty: no exit code would be success" end
    table.sort(codes)
    return codes
end

function check.run(value)
    return run.read(value)
end

function check.needs(value)
    return needs.read(value)
end

function check.backoff(value)
    if ref.token(value) then return must_be("a backoff", value) end
    return backoff.read(value)
end

function check.matrix(value)
    return matrix.expand(value)
end

function check.meta(value, _, context)
    return meta.read(value, context.encode)
end

--- The size is checked when the defaults and the matrix have been added: check.env_size.
function check.env(value)
    return env.read(value)
end

function check.env_size(size)
    local limit = schema.job.env.max_bytes
    if size <= limit then return true end
    return nil, ("%d bytes of variables; the limit is %d"):format(size, limit)
end

--- The name of a job; returns true, or nil and a message.
function check.job_name(name)
    if type(name) ~= "string" then
        return nil, "a job's name must be a string, not " .. text.describe(name)
    end
    local ok, message = text.check_printable(name, 1, MAX_NAME)
    return ok, message and ("the job name %s %s"):format(text.quote(name), message)
end

return check
