-- secret "env:NAME" and secret "file:PATH": values of `env` that are looked up when the job
-- starts. Only where to find them is stored.

local ref = require "queuectl.jobs.ref"
local text = require "queuectl.jobs.text"

local secret = {}

secret.SPLICE = "a secret cannot be spliced into a string; pass it through env"

--- Why a secret may not be an argument or in shell text.
secret.VISIBLE = "arguments are visible to every user of the machine; pass it through env"

local MAX_PATH = 4095

-- secret -> { source =, raise = }
local secrets = setmetatable({}, { __mode = "k" })

local proxy = newproxy(true)

local function refuse(a, b)
    (secrets[a] or secrets[b]).raise(secret.SPLICE)
end

ref.refuse_use(getmetatable(proxy), "a secret", refuse)

--- A secret found at `source` ("env:NAME", "file:/path").
function secret.new(source, raise)
    local value = newproxy(proxy)
    secrets[value] = { source = source, raise = raise }
    return value
end

--- Where the value is found, or nil when it is no secret.
function secret.source(value)
    local entry = type(value) == "userdata" and secrets[value]
    return entry and entry.source or nil
end

local function check_variable(name)
    if name:find("^[^=%z\n]+$") then return "env:" .. name end
    return nil, ("bad name of a variable %s"):format(text.quote(name))
end

local function check_file(path, resolve)
    if path == "" then return nil, "the path is empty" end
    if path:find("%z") then return nil, "the path contains a NUL byte" end
    path = resolve(path)
    if #path > MAX_PATH then
        return nil, ("a path of %d bytes; the limit is %d"):format(#path, MAX_PATH)
    end
    return "file:" .. path
end

--- "env:NAME" or "file:/path" of what a file wrote, or nil and a message. `resolve(path)` makes
-- a path absolute.
function secret.read(given, resolve)
    if type(given) ~= "string" then
        return nil, ('must be "env:NAME" or "file:PATH", not %s'):format(text.describe(given))
    end
    local kind, rest = given:match("^(%a+):(.*)$")
    if kind == "env" then return check_variable(rest) end
    if kind == "file" then return check_file(rest, resolve) end
    return nil, ('must be "env:NAME" or "file:PATH", not %s'):format(text.quote(given))
end

return secret
