-- ctx.exec and ctx.sh: programs, run to their end.

local check = require "queuectl.jobs.check"
local env = require "queuectl.jobs.env"
local lines = require "queuectl.jobs.ctx.lines"
local options = require "queuectl.jobs.ctx.options"
local ref = require "queuectl.jobs.ref"
local result = require "queuectl.jobs.ctx.result"
local run = require "queuectl.jobs.run"
local schema = require "queuectl.schema"
local text = require "queuectl.jobs.text"

local exec = {}

local LARGEST_OUTPUT = 64 * 1024 * 1024

-- Options --------------------------------------------------------------------------------------

-- Variables as the host takes them: a list sorted by name, as in a planned job.
local function read_env(given)
    if given == nil then return nil end
    local variables, messages = env.read(given)
    if not variables then return nil, messages[1] end
    local list = {}
    for _, name in ipairs(text.sorted_keys(variables)) do
        local entry = variables[name]
        if entry.token then return nil, name .. " " .. options.NO_VALUE end
        if entry.value == nil and not entry.unset then
            return nil, name .. " must be a string; a secret is given to the job, in its env"
        end
        list[#list + 1] = { name = name, value = entry.value, unset = entry.unset }
    end
    return list
end

-- { text = } or { file = }
local function read_stdin(given)
    if given == nil then return nil end
    if type(given) == "string" then return { text = given } end
    if ref.token(given) then return nil, options.NO_VALUE end
    if type(given) ~= "table" or given.file == nil or next(given, next(given)) ~= nil then
        return nil, ("must be a string or { file = \"path\" }, not %s"):format(
            text.describe(given))
    end
    local path, message = options.path(given.file)
    if not path then return nil, "file: " .. message end
    return { file = path }
end

local function read_size(given)
    if given == nil then return nil end
    if type(given) == "number" and given >= 0 and given <= LARGEST_OUTPUT and given % 1 == 0 then
        return given
    end
    return nil, ("must be a whole number of bytes from 0 to %d, not %s"):format(
        LARGEST_OUTPUT, text.describe(given))
end

local function read_codes(given)
    if given == nil then return nil end
    return check.codes(given, schema.job.ok_codes)
end

local function read_stream(given)
    if given == nil or type(given) == "boolean" or type(given) == "function" then return given end
    return nil, "must be true or a function(line, stream), not " .. text.describe(given)
end

local OPTIONS = {
    { "check", options.boolean },
    { "cwd", options.path },
    { "env", read_env },
    { "kill_after", options.duration, "kill_after_ms" },
    { "max_output", read_size },
    { "ok_codes", read_codes },
    { "stdin", read_stdin },
    { "stream", read_stream },
    { "timeout", options.timeout, "timeout_ms" },
}

-- Running --------------------------------------------------------------------------------------

-- What the job's function raises for a line ends the program, too.
local function pump(state, program, stream)
    local ok, message = pcall(lines.pump, state.host, program, stream)
    if not ok then
        program:stop()
        error(message, 0)
    end
end

local function run_program(state, argv, opts, shown)
    local program, message = state.host.exec(argv, {
        cwd = opts.cwd, env = opts.env, timeout_ms = opts.timeout_ms,
        kill_after_ms = opts.kill_after_ms, keep = opts.max_output or result.MAX_OUTPUT,
        stdin = opts.stdin and opts.stdin.text, stdin_file = opts.stdin and opts.stdin.file,
    })
    if not program then return nil, ("cannot run %s: %s"):format(shown, tostring(message)) end
    if opts.stream then pump(state, program, opts.stream) end
    local fields = program:result()
    local failure = opts.check and result.failure(fields, opts)
    if failure then return nil, ("%s: %s"):format(shown, failure) end
    return result.new(state, fields, opts, shown)
end

local function shorten(shown)
    return text.escape(text.shorten(shown, 200))
end

local function read_argv(given)
    if type(given) == "string" then
        return nil, 'takes a list such as { "ls", "-l" }; for shell text use ctx.sh'
    end
    for key in next, type(given) == "table" and given or {} do
        if type(key) == "string" then
            return nil, text.name(key) .. " is not an argument; options go into a second table"
        end
    end
    local argv, message = run.read_argv(given)
    if not argv then return nil, message end
    for i, entry in ipairs(argv) do
        if type(entry) == "table" then
            return nil, ("entry %d %s"):format(i, options.NO_VALUE)
        end
    end
    return argv
end

--- ctx.exec(argv, options)
function exec.exec(state, given, given_options)
    local argv, message = read_argv(given)
    if not argv then return nil, message end
    local opts
    opts, message = options.read(given_options, OPTIONS)
    if not opts then return nil, message end
    return run_program(state, argv, opts, shorten(table.concat(argv, " ")))
end

--- ctx.sh(text, options)
function exec.sh(state, given, given_options)
    if type(given) == "table" then
        return nil, "takes shell text; for a list of arguments use ctx.exec"
    end
    if type(given) ~= "string" then
        return nil, "takes shell text, not " .. text.describe(given)
    end
    local read, message = run.read(given)
    if not read then return nil, "the text " .. message end
    local opts
    opts, message = options.read(given_options, OPTIONS)
    if not opts then return nil, message end
    return run_program(state, { "/bin/sh", "-c", given }, opts, shorten(given))
end

--- ctx.sh.quote(text): one word for the shell, whatever is in it.
function exec.quote(_, given)
    local str, message = text.scalar(given)
    if not str then return nil, message end
    if str:find("%z") then return nil, "the text contains a NUL byte" end
    return text.shell_quote(str)
end

return exec
