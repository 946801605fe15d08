-- Jobs as they come from a command line, a file of lines or JSON: checked, each error naming the
-- input, the rule and the way out.

local core = require "queuectl.core"
local json = require "queuectl.json"
local suggest = require "queuectl.suggest"
local time = require "queuectl.time"

local input = {}

--- Longest command: one more byte and execve refuses it (E2BIG).
local COMMAND_MAX = 131071
local ENV_MAX = 65536
local FILE_MAX = 256 * 1024 * 1024

local function shown(value)
    local text = tostring(value)
    return "'" .. text:sub(1, 60) .. (#text > 60 and "…" or "") .. "'"
end

-- ---- single values: value | nil, message ----

local function command(value)
    if type(value) ~= "string" then return nil, "command: must be text" end
    if not value:find("%S") then return nil, "command: is empty" end
    if value:find("%z") then
        return nil, "command: contains a NUL byte, which no program can get"
    end
    if #value > COMMAND_MAX then
        return nil, ("command: %d bytes, the kernel takes at most %d; put it into a script file")
            :format(#value, COMMAND_MAX)
    end
    return value
end

local function integer(name, low, high)
    return function(value)
        local digits = type(value) == "number" and ("%.14g"):format(value) or tostring(value)
        local number = digits:find("^-?%d+$") and tonumber(digits)
        if not number or number < low or number > high then
            return nil, ("%s %s: must be a whole number from %d to %d"):format(name, shown(value),
                low, high)
        end
        return number
    end
end

local function duration(name, allow_none, allow_zero)
    return function(value)
        if allow_none and value == "none" then return 0 end
        local ms, message = time.parse_duration(value)
        if not ms then
            return nil, ('%s: %s; say 90, "90s", "5m" or "1h30m"'):format(name, message)
        end
        if ms == 0 and not allow_zero then
            return nil, ("%s %s: must be longer than 0%s"):format(name, shown(value),
                allow_none and "; no limit is spelled none" or "")
        end
        return ms
    end
end

local function id(value)
    if type(value) == "string" and core.is_job_id(value) then return value end
    return nil, ("id %s: must be 1 to 128 of A-Z a-z 0-9 _ . : - and not begin with -"):format(
        shown(value))
end

local function label(name)
    return function(value)
        if type(value) == "string" and #value <= 64 and value:find("^[%w_][%w_.-]*$") then
            return value
        end
        return nil, ("%s %s: must be 1 to 64 of A-Z a-z 0-9 _ . - and not begin with . or -")
            :format(name, shown(value))
    end
end

local function directory(value)
    if type(value) ~= "string" or value == "" or #value > 4096 or value:find("%z") then
        return nil, ("cwd %s: must be a path"):format(shown(value))
    end
    if value:sub(1, 1) == "/" then return value end
    return assert(core.cwd()) .. "/" .. value
end

local function env_entry(name, value)
    if type(name) ~= "string" or not name:find("^[^=%z\n]+$") then
        return nil, ("env %s: not a name for a variable"):format(shown(name))
    end
    if value == false then return { name = name, unset = true } end
    if type(value) ~= "string" or value:find("%z") then
        return nil, ("env %s: the value must be text without NUL, or false to unset it")
            :format(name)
    end
    return { name = name, value = value }
end

local function sort_env(list)
    local size = 0
    for _, entry in ipairs(list) do size = size + #entry.name + #(entry.value or "") + 2 end
    if size > ENV_MAX then
        return nil, ("env: %d bytes together, at most %d; pass a file instead"):format(size,
            ENV_MAX)
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
end

local function env_map(value)
    if type(value) ~= "table" then return nil, "env: must be an object of names and texts" end
    local list = {}
    for name, text in pairs(value) do
        local entry, message = env_entry(name, text)
        if not entry then return nil, message end
        list[#list + 1] = entry
    end
    return sort_env(list)
end

local function env_words(words)
    local by_name = {}
    for _, word in ipairs(words) do
        local name, value = word:match("^([^=]+)=(.*)$")
        if not name then return nil, ("--env %s: must be NAME=VALUE"):format(shown(word)) end
        by_name[name] = value
    end
    return env_map(by_name)
end

-- ---- keys of a job as JSON; the options of the command line use the same checks ----

local retries = integer("retries", 0, 1000000)

local KEYS = {
    id = { "id", id },
    command = { "command", command },
    max_retries = { "retries", retries },
    retries = { "retries", retries },
    max_attempts = { "retries", function(value)
        local tries, message = integer("max_attempts", 1, 1000001)(value)
        return tries and tries - 1, message
    end },
    priority = { "priority", integer("priority", -2147483648, 2147483647) },
    delay = { "delay_ms", duration("delay", false, true) },
    timeout = { "timeout_ms", duration("timeout", true) },
    timeout_seconds = { "timeout_ms", duration("timeout_seconds", true) },
    queue = { "queue", label("queue") },
    group = { "group", label("group") },
    cwd = { "cwd", directory },
    env = { "env", env_map },
    stdin = { "stdin", function(value)
        if type(value) == "string" and #value <= 1048576 then return value end
        return nil, "stdin: must be text of at most 1 MiB"
    end },
}

local NAMES = {}
for name in pairs(KEYS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local function apply(job, key, value)
    local field, check = KEYS[key][1], KEYS[key][2]
    local checked, message = check(value)
    if checked == nil then return nil, message end
    job[field] = checked
    return true
end

--- The settings that stand on the command line: they win over those of a JSON job.
function input.base(args)
    local job = { cwd = assert(core.cwd()) }
    for _, key in ipairs { "id", "priority", "delay", "timeout", "retries", "queue", "group",
        "cwd" } do
        if args[key] ~= nil then
            local ok, message = apply(job, key, args[key])
            if not ok then return nil, "--" .. message end
        end
    end
    if args.env and #args.env > 0 then
        local list, message = env_words(args.env)
        if not list then return nil, message end
        job.env = list
    end
    return job, nil
end

local function copy(base)
    local job = {}
    for key, value in pairs(base) do job[key] = value end
    return job
end

local function from_object(object, base)
    if object.command == nil then
        return nil, "the job has no \"command\""
    end
    local job = { cwd = base.cwd }
    for _, key in ipairs(NAMES) do
        if object[key] ~= nil then
            local ok, message = apply(job, key, object[key])
            if not ok then return nil, message end
        end
    end
    for key in pairs(object) do
        if not KEYS[key] then
            return nil, ("unknown key %s%s"):format(shown(key), suggest.hint(tostring(key), NAMES))
        end
    end
    for key, value in pairs(base) do
        if key ~= "cwd" or object.cwd == nil then job[key] = value end
    end
    job.kind = "shell"
    return job
end

local function is_json(text)
    return text:find("^%s*{%s*[\"}]") ~= nil
end

local function from_json(text, base)
    local object, message = json.decode(text)
    if not object then return nil, ("not valid JSON: %s"):format(message) end
    return from_object(object, base)
end

--- Shell text or a JSON object -> job | nil, message
function input.from_text(text, base)
    if is_json(text) then return from_json(text, base) end
    local checked, message = command(text)
    if not checked then return nil, message end
    local job = copy(base)
    job.kind, job.command = "shell", checked
    return job
end

function input.from_argv(argv, base)
    if #argv == 0 or argv[1] == "" then
        return nil, "no program behind '--'; give it and its arguments"
    end
    local size = 0
    for _, arg in ipairs(argv) do size = size + #arg + 1 end
    if size > COMMAND_MAX then
        return nil, ("the arguments are %d bytes together, at most %d"):format(size, COMMAND_MAX)
    end
    local job = copy(base)
    job.kind, job.argv = "argv", argv
    return job
end

-- All of it, or nil and a message. In pieces, so that an endless one ends at the limit.
local function read_all(file)
    local parts, size = {}, 0
    while true do
        local part, message = file:read(1048576)
        if message then return nil, message end
        if not part then return table.concat(parts) end
        parts[#parts + 1], size = part, size + #part
        if size > FILE_MAX then return nil, "more than 256 MiB; split it" end
    end
end

local function read_file(path)
    if path == "-" then return read_all(io.stdin) end
    local file, message = io.open(path, "rb")
    if not file then return nil, message, 3 end
    local text
    text, message = read_all(file)
    file:close()
    return text, message and path .. ": " .. message
end

--- One job a line: all of them, or the first bad line by its number. Blank lines and lines that
-- begin with # are no jobs.
function input.from_file(path, base)
    local text, message, code = read_file(path)
    if not text then return nil, message, code end
    if base.id then return nil, "--id: one id cannot name the jobs of a whole file" end
    local name = path == "-" and "standard input" or path
    local jobs, number = {}, 0
    for line in text:gmatch("([^\n]*)\n?") do
        number = number + 1
        line = line:gsub("\r$", "")
        if line:find("%S") and line:sub(1, 1) ~= "#" then
            local job
            job, message = input.from_text(line, base)
            if not job then
                return nil, ("%s, line %d: %s; nothing was enqueued"):format(name, number, message)
            end
            jobs[#jobs + 1] = job
        end
    end
    if #jobs == 0 then return nil, name .. ": no job in it" end
    return jobs
end

return input
