-- env = { NAME = "text", PORT = 8080, VERSION = build.out.version, DEBUG = false }

local ref = require "queuectl.jobs.ref"
local run = require "queuectl.jobs.run"
local secret = require "queuectl.jobs.secret"
local text = require "queuectl.jobs.text"

local env = {}

local function check_name(name)
    if type(name) ~= "string" then
        return nil, "must be a table of NAME = value; it has the key " .. text.describe(name)
    end
    if name == "" then return nil, "a name is empty" end
    if name:find("[=%z\n]") then
        return nil, ("bad name %s: no '=', NUL or newline"):format(text.quote(name))
    end
    return true
end

-- { value = } or { unset = true } or { token = } or { secret = }
local function read_value(value)
    if value == false then return { unset = true } end
    if value == true then return nil, 'is true; write "1" or "true" (false removes a variable)' end
    local token = ref.token(value)
    if token then return { token = token } end
    local source = secret.source(value)
    if source then return { secret = source } end
    local str, message = run.value_text(value)
    if not str then return nil, message end
    return { value = str }
end

--- A map from names to { value = }, { unset = true }, { token = } or { secret = }; or nil and the
-- messages.
function env.read(given)
    if type(given) ~= "table" or getmetatable(given) then
        return nil, { "must be a table of NAME = value, not " .. text.describe(given) }
    end
    local result, messages = {}, {}
    for _, name in ipairs(text.sorted_keys(given)) do
        local ok, message = check_name(name)
        if ok then
            result[name], message = read_value(given[name])
            if message then message = text.escape(text.shorten(name, 60)) .. " " .. message end
        end
        messages[#messages + 1] = message
    end
    if #messages > 0 then return nil, messages end
    return result
end

--- `later` on top of `earlier`, name by name; either may be nil.
function env.merge(earlier, later)
    if not earlier or not later then return earlier or later end
    local merged = {}
    for name, entry in pairs(earlier) do merged[name] = entry end
    for name, entry in pairs(later) do merged[name] = entry end
    return merged
end

local function entry_size(name, value)
    return #name + 2 + #value
end

--- Bytes the variables take, as the kernel counts them; what is known only later
-- counts with its name.
function env.size(variables)
    local size = 0
    for name, entry in pairs(variables or {}) do
        if not entry.unset then size = size + entry_size(name, entry.value or "") end
    end
    return size
end

--- The same for a map of names to text.
function env.text_size(map)
    local size = 0
    for name, value in pairs(map) do size = size + entry_size(name, value) end
    return size
end

return env
