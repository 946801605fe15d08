-- The command line: which command it is, its parser, its errors. Each command is a file in cmd/ and
-- only the chosen one is loaded. A command is a table:
--   summary   one line
--   usage     what stands behind the name in help, where the parser's own is not good enough
--   setup     function(parser): adds arguments and options (argparse)
--   plain     name of the argument that may stand alone: then no parser is built, which takes about
--             a millisecond off each `enqueue` in a shell loop
--   rest      true: everything behind "--" comes as args.rest, untouched
--   examples  list of { "queuectl …", "what it does" }; specs run them
--   run       function(ctx, args) -> true | exit code | nil, message, exit code
--             [, worker: what this process is to become (core/script_cli.c)]
--   help_of   function(ctx, words) -> as run: what --help says about other words that were given
--   commands  instead of the above: further words, each such a table

local core = require "queuectl.core"
local context = require "queuectl.context"
local suggest = require "queuectl.suggest"

local cli = {}

--- In the order of help.
cli.COMMANDS = { "init", "run", "runs", "check", "enqueue", "worker", "status", "list", "show",
    "logs", "wait", "cancel", "retry", "report", "version", "help" }

-- What the earlier tools of this name called them.
local ALIASES = {
    ["worker-start"] = { "worker", "start" }, ["worker-stop"] = { "worker", "stop" },
    ["worker-status"] = { "worker", "status" },
    ["--version"] = { "version" }, ["-V"] = { "version" },
    ["--help"] = { "help" }, ["-h"] = { "help" },
}

local function is_command(name)
    for _, known in ipairs(cli.COMMANDS) do
        if known == name then return true end
    end
    return false
end

function cli.load(name)
    return require("queuectl.cmd." .. name)
end

local TAKES_VALUE = { ["--store"] = true, ["-o"] = true, ["--output"] = true, ["--color"] = true }

-- Words in front of the command are global options; they are moved behind it for its parser.
local function split(args)
    local before, i = {}, 1
    while args[i] and args[i]:sub(1, 1) == "-" and not ALIASES[args[i]] do
        before[#before + 1] = args[i]
        if TAKES_VALUE[args[i]] and args[i + 1] then
            i = i + 1
            before[#before + 1] = args[i]
        end
        i = i + 1
    end
    local words = {}
    for k = i, #args do words[#words + 1] = args[k] end
    return before, words
end

-- unpack() takes some 8,000 values, a command line more.
local function slice(list, first, last)
    local out = {}
    for i = first, last or #list do out[#out + 1] = list[i] end
    return out
end

local function unalias(words)
    local alias = ALIASES[words[1]]
    if not alias then return words end
    local out = slice(alias, 1)
    for k = 2, #words do out[#out + 1] = words[k] end
    return out
end

local function unknown(what, name, known, topic)
    return nil, ("unknown %s '%s'%s; see: queuectl help%s"):format(what, name:sub(1, 100),
        suggest.hint(name, known), topic or ""), context.USAGE
end

local function names_of(commands)
    local names = {}
    for name in pairs(commands) do names[#names + 1] = name end
    table.sort(names)
    return names
end

-- The command's table and full name, and the words that are left for it.
local function find(words)
    local name = words[1]
    if not is_command(name) then return unknown("command", name, cli.COMMANDS) end
    local command = cli.load(name)
    if not command.commands then return command, name, slice(words, 2) end
    local sub = words[2]
    if not sub then
        return nil, ("'%s' needs one of: %s"):format(name,
            table.concat(names_of(command.commands), ", ")), context.USAGE
    end
    if sub == "--help" or sub == "-h" then return cli.load("help"), "help", { name } end
    if not command.commands[sub] then
        return unknown(name .. " command", sub, names_of(command.commands), " " .. name)
    end
    return command.commands[sub], name .. " " .. sub, slice(words, 3)
end

local function add_global_options(parser)
    parser:option("--store", "the store: a file's path (default: $QUEUECTL_STORE, then "
        .. "~/.local/share/queuectl/queue.db)"):argname("PATH")
    parser:option("-o --output", "table, json, jsonl or id"):argname("FORMAT")
        :choices { "table", "json", "jsonl", "id" }
    parser:flag("--json", "the result as JSON")
    parser:flag("-q --quiet", "no remarks")
    parser:flag("-v --verbose", "more detail, tracebacks")
    parser:option("--color", "auto, always or never"):choices { "auto", "always", "never" }
end

function cli.parser(command, name)
    local argparse = require "argparse"
    local parser = argparse("queuectl " .. name, command.summary):add_help(false)
    if command.setup then command.setup(parser) end
    add_global_options(parser)
    parser:flag("-h --help", "this help")
    return parser
end

local function cut_rest(words)
    for i, word in ipairs(words) do
        if word == "--" then
            return slice(words, 1, i - 1), slice(words, i + 1)
        end
    end
    return words
end

-- argparse's message in one line: "unknown option '--x'\nDid you mean '--y'?".
local function parse_error(name, message)
    local line = message:gsub("\nDid you mean (.-)%?", " (did you mean %1?)"):gsub("%s*\n%s*", "; ")
    return nil, ("%s; see: queuectl %s --help"):format(line, name), context.USAGE
end

-- "--priority -5" is a value, not an option named -5.
local function add_word(words, word)
    local last = words[#words]
    if word:find("^%-%d") and last and last:find("^%-%-[%a-]+$") then
        words[#words] = last .. "=" .. word
    else
        words[#words + 1] = word
    end
end

-- Those that are no options, nor values of the global ones.
local function plain_words(words)
    local plain = {}
    for i, word in ipairs(words) do
        if word:sub(1, 1) ~= "-" and not TAKES_VALUE[words[i - 1]] then plain[#plain + 1] = word end
    end
    return plain
end

local function parse(command, name, before, words)
    local rest
    if command.rest then words, rest = cut_rest(words) end
    local all = slice(before, 1)
    for _, word in ipairs(words) do add_word(all, word) end
    for _, word in ipairs(all) do
        if word == "--help" or word == "-h" then return { help = true, of = plain_words(all) } end
    end
    if command.plain and #all == 1 and not rest and all[1]:sub(1, 1) ~= "-" then
        return { [command.plain] = all[1] }
    end
    local parser = cli.parser(command, name)
    local ok, result = parser:pparse(all)
    if not ok then return parse_error(name, tostring(result)) end
    result.rest = rest
    return result
end

local function report(message)
    local text = message:gsub("[%z\1-\8\11-\31\127]", function(char)
        return ("\\x%02x"):format(char:byte())
    end)
    core.write(2, text .. "\n")
end

--- Says on standard error what went wrong; the exit code.
function cli.complain(message, code)
    -- Problems of a Lua file carry file and line: they stand as they are.
    report(code == context.CONFIG and message or "queuectl: " .. message)
    return code or context.FAILED
end

local function finish(ctx, ok, message, code, worker)
    ctx:close()
    local flushed = ctx:flush()
    if ok == nil then return cli.complain(message or "failed", code) end
    if not flushed and not ctx.pipe_is_closed then
        cli.complain(("%sthe answer could not be written: %s"):format(
            ctx.done and ctx.done .. ", but " or "", ctx.output_failed))
        return context.FAILED
    end
    return ok == true and 0 or ok, worker
end

local function run(args)
    if #args == 0 then
        return nil, "nothing to do; start with: queuectl help", context.USAGE
    end
    local before, words = split(args)
    words = unalias(words)
    if #words == 0 then
        return nil, ("no command behind '%s'; see: queuectl help"):format(before[#before]),
            context.USAGE
    end
    local command, name, rest = find(words)
    if not command then return nil, name, rest end
    local parsed, message, code = parse(command, name, before, rest)
    if not parsed then return nil, message, code end
    if parsed.help and command.help_of and #parsed.of > 0 then
        local help_of = command.help_of
        command = { run = function(ctx, given) return help_of(ctx, given.of) end }
    elseif parsed.help then
        parsed = { words = { name:match("^%S+"), name:match(" (%S+)$") } }
        command = cli.load("help")
    end
    local ctx = context.new(parsed)
    return true, ctx, command, parsed
end

--- The exit code, and for `worker start` what this process is to become.
function cli.main(args)
    local ok, ctx, command, parsed = run(args)
    if not ok then return cli.complain(ctx, command) end
    return finish(ctx, command.run(ctx, parsed))
end

return cli
