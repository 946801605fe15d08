-- The checks named in schema.lua. Each gets the value given, the key's row and the context
-- { dir =, encode =, now = wall seconds }; it returns the normalised value, or nil and a message
-- (or a list of them).

local backoff = require "queuectl.jobs.backoff"
local env = require "queuectl.jobs.env"
local list = require "queuectl.jobs.list"
local matrix = require "queuectl.jobs.matrix"
local meta = require "queuectl.jobs.meta"
local needs = require "queuectl.jobs.needs"
local ref = require "queuectl.jobs.ref"
local run = require "queuectl.jobs.run"
local schema = require "queuectl.schema"
local secret = require "queuectl.jobs.secret"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local check = {}

local MAX_PATH = 4095
local MAX_NAME = 200

local function must_be(what, value)
    if ref.token(value) then
        return nil, "cannot be a job output; pass it through env or as an entry of a run list"
    end
    if secret.source(value) then return nil, "cannot be a secret; pass it through env" end
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

--- A point in time as wall milliseconds.
function check.instant(value, _, context)
    if type(value) ~= "string" then
        return must_be('a time such as "18:00" or "2030-01-31 09:00"', value)
    end
    local seconds, message = time.parse_instant(value, context.now or os.time())
    -- 0 would mean none.
    return seconds and math.max(1, math.floor(seconds * 1000 + 0.5)), message
end

--- What is given is kept out of the plan: that there is a function is all it says.
function check.when(value)
    if type(value) == "function" then return true end
    local _, message = must_be("a function", value)
    return nil, message .. "; write function(ctx) return ... end"
end

function check.shell(value)
    if type(value) ~= "table" then return must_be('a list such as { "/bin/bash", "-c" }', value) end
    local argv, message = run.read_argv(value)
    if not argv then return nil, message end
    for i, word in ipairs(argv) do
        if type(word) ~= "string" then return nil, ("entry %d must be text"):format(i) end
    end
    return argv
end

local SIZE_UNITS = { [""] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40 }

local limit_checks = {}

function limit_checks.memory(value)
    local bytes = value
    if type(value) == "string" then
        local digits, unit = value:match("^(%d+%.?%d*)([KMGT]?)$")
        bytes = digits and math.floor(tonumber(digits) * SIZE_UNITS[unit])
        if not bytes then
            return nil, ('bad size %s: write "512M" or "2G" (K, M, G, T), or bytes'):format(
                text.quote(value))
        end
    end
    if type(bytes) ~= "number" or bytes % 1 ~= 0 then
        return must_be('a size such as "2G"', value)
    end
    if bytes < SIZE_UNITS.M or bytes > 1024 * SIZE_UNITS.T then
        return nil, ("must be from 1M to 1024T, not %s"):format(text.describe(value))
    end
    return bytes
end

function limit_checks.cpu(value)
    local ms, message = check.duration(value, { positive = true })
    return ms and math.ceil(ms / 1000), message
end

function limit_checks.files(value)
    return check.integer(value, { min = 3, max = 1048576 })
end

function limit_checks.nice(value)
    return check.integer(value, { min = -20, max = 19 })
end

function check.limits(value)
    if type(value) ~= "table" or getmetatable(value) then
        return must_be('a table such as { memory = "2G" }', value)
    end
    local limits, messages = {}, {}
    for _, key in ipairs(text.sorted_keys(value)) do
        local message
        if type(key) ~= "string" then
            message = "unexpected value at position " .. text.describe(key)
        elseif not limit_checks[key] then
            message = ("unknown limit %s%s"):format(text.name(key),
                suggest.hint(key, text.sorted_keys(limit_checks)))
        else
            limits[key], message = limit_checks[key](value[key])
            if message then message = key .. ": " .. message end
        end
        messages[#messages + 1] = message
    end
    if #messages > 0 then return nil, messages end
    if next(limits) == nil then return nil, "is empty" end
    return limits
end

function check.label(value)
    if type(value) ~= "string" then return must_be("a string", value) end
    if #value <= 64 and value:find("^[%w_][%w_.-]*$") then return value end
    return nil, ("bad name %s: 1 to 64 of A-Z a-z 0-9 _ . -, not starting with . or -"):format(
        text.quote(value))
end

--- A path as it will be used: below `dir` unless it is absolute.
function check.resolve(path, dir)
    if path:sub(1, 1) == "/" or not dir then return path end
    local rest = path:gsub("^%./+", "")
    if rest == "." or rest == "" then return dir end
    return (dir:gsub("/+$", "")) .. "/" .. rest
end

function check.path(value, _, context)
    if type(value) ~= "string" then return must_be("a path", value) end
    if value == "" then return nil, "is empty" end
    if value:find("%z") then return nil, "contains a NUL byte" end
    local path = check.resolve(value, context.dir)
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
    if secret.source(value) then
        return nil, "cannot be a secret: it would be stored with the job; pass it through env"
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

function check.artifacts(value, row)
    return read_set(value, row.max_entries, function(pattern)
        if type(pattern) ~= "string" then return must_be("a path or a pattern", pattern) end
        if pattern:sub(1, 1) == "/" then
            return nil, ("is %s: it must be relative to cwd"):format(text.quote(pattern))
        end
        local ok, message = text.check_printable(pattern, 1, MAX_PATH)
        if not ok then return nil, message end
        return pattern
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
