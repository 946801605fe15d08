-- run = "shell text" | { "program", "argument", … } | function(job, ctx) … end

local list = require "queuectl.jobs.list"
local ref = require "queuectl.jobs.ref"
local secret = require "queuectl.jobs.secret"
local text = require "queuectl.jobs.text"

local run = {}

--- The kernel's limit for one argument, less its final NUL; also that of shell text.
run.MAX_STRING = 131071
run.MAX_ARGV = 128 * 1024

--- The text of a string or a whole number, or nil and what is wrong with it.
function run.value_text(value)
    if type(value) == "number" and value % 1 == 0 and math.abs(value) < 2 ^ 53 then
        return text.number(value)
    end
    if type(value) == "number" then
        return nil, ("is the number %s; write it as a string"):format(text.number(value))
    end
    if type(value) ~= "string" then return nil, "must be a string, not " .. text.describe(value) end
    if value:find("%z") then return nil, "contains a NUL byte" end
    return value
end

local function read_shell(command)
    if not command:find("%S") then return nil, "is empty" end
    if command:find("%z") then return nil, "contains a NUL byte" end
    if #command > run.MAX_STRING then
        return nil, ("%d bytes of shell text; the limit is %d: use a script file"):format(
            #command, run.MAX_STRING)
    end
    return { kind = "shell", command = command }
end

local function read_argument(value)
    local token = ref.token(value)
    if token then return token end
    if secret.source(value) then return nil, "is a secret: " .. secret.VISIBLE end
    local str, message = run.value_text(value)
    if not str then return nil, message end
    if #str > run.MAX_STRING then
        return nil, ("is %d bytes long; the limit is %d"):format(#str, run.MAX_STRING)
    end
    return str
end

--- Bytes of the arguments known now, as the kernel counts them.
function run.argv_size(argv)
    local size = 0
    for _, entry in ipairs(argv) do
        if type(entry) == "string" then size = size + #entry + 1 end
    end
    return size
end

--- A list of arguments as text and tokens, or nil and a message.
function run.read_argv(value)
    local argv, message = list.map(value, read_argument)
    if not argv then return nil, message end
    if #argv == 0 then return nil, "the list is empty" end
    if argv[1] == "" then return nil, "the program's name is empty" end
    local size = run.argv_size(argv)
    if size > run.MAX_ARGV then
        return nil, ("%d bytes of arguments; the limit is %d"):format(size, run.MAX_ARGV)
    end
    return argv
end

--- { kind =, command = | argv = }, or nil and a message.
function run.read(value)
    if type(value) == "function" then return { kind = "lua" } end
    if type(value) == "string" then return read_shell(value) end
    if ref.token(value) then return nil, ref.SPLICE end
    if secret.source(value) then return nil, "cannot be a secret: " .. secret.VISIBLE end
    if type(value) ~= "table" or getmetatable(value) then
        return nil, "must be shell text, a list or a function, not " .. text.describe(value)
    end
    local argv, message = run.read_argv(value)
    if not argv then return nil, message end
    return { kind = "argv", argv = argv }
end

return run
