local cli = require "queuectl.cli"
local context = require "queuectl.context"
local suggest = require "queuectl.suggest"

local EXIT_CODES = [[
Exit codes:
    0  done
    1  ran and failed (run: a job is dead, cancelled, or skipped because of a failure)
    2  wrong usage
    3  not found
    4  conflict, or the job is in the wrong state for this
    5  done for some, not for all
    6  the store cannot be reached, is full or locked: nothing was stored
    7  not permitted
    8  the store is damaged, or newer than this program
   75  outcome unknown: repeat with the same id
   78  a bad Lua or configuration file
  124  timed out
  130  interrupted (143: terminated)
]]

-- The keys of a job, from the table that checks them.
local function keys()
    local lines = { "Keys of a job in a jobs file, and of defaults:\n" }
    for _, row in ipairs(require("queuectl.schema").job_keys) do
        lines[#lines + 1] = ("  %-14s %s%s\n%17s%s\n"):format(row.name, row.type,
            row.shown and "; default " .. row.shown or "", "", row.desc)
    end
    return table.concat(lines)
end

local TOPICS = {
    ["exit-codes"] = function() return EXIT_CODES end,
    keys = keys,
}

local function overview(ctx)
    ctx:print("queuectl runs jobs in the background and never loses one.\n\n"
        .. "Usage: queuectl [--store PATH] COMMAND …\n\nCommands:\n")
    for _, name in ipairs(cli.COMMANDS) do
        ctx:print(("  %-9s %s\n"):format(name, cli.load(name).summary))
    end
    ctx:print("\nMore: queuectl help COMMAND, queuectl help keys (of a job in a jobs file), "
        .. "queuectl help exit-codes\n")
    return true
end

local function group(ctx, name, command)
    ctx:print(("queuectl %s: %s\n\n"):format(name, command.summary))
    local words = {}
    for word in pairs(command.commands) do words[#words + 1] = word end
    table.sort(words)
    for _, word in ipairs(words) do
        ctx:print(("  %-16s %s\n"):format(name .. " " .. word, command.commands[word].summary))
    end
    return true
end

local function one(ctx, name, command)
    ctx:print(cli.parser(command, name):get_help():gsub("%s*$", "\n"))
    if command.notes then ctx:print("\n" .. command.notes) end
    if command.examples and #command.examples > 0 then ctx:print("\nExamples:\n") end
    for _, example in ipairs(command.examples or {}) do
        ctx:print(("  %s\n      %s\n"):format(example[1], example[2]))
    end
    return true
end

local function find(words)
    local command = cli.load(words[1])
    if words[2] and command.commands then return command.commands[words[2]] end
    return command
end

local function is_known(name)
    for _, known in ipairs(cli.COMMANDS) do
        if known == name then return true end
    end
    return TOPICS[name] ~= nil
end

return {
    summary = "this help, or that of a command",
    setup = function(parser)
        parser:argument("words", "a command, keys, or exit-codes"):args("*")
    end,
    examples = { { "queuectl help run", "how to run a jobs file" },
        { "queuectl help keys", "what may stand in a job of a jobs file" },
        { "queuectl help exit-codes", "what the exit codes mean" } },
    run = function(ctx, args)
        local words = args.words
        if #words == 0 then return overview(ctx) end
        if not is_known(words[1]) then
            return nil, ("no help on '%s'%s; see: queuectl help"):format(words[1]:sub(1, 100),
                suggest.hint(words[1], cli.COMMANDS)), context.USAGE
        end
        if TOPICS[words[1]] then
            ctx:print(TOPICS[words[1]]())
            return true
        end
        local command = find(words)
        if not command then
            return nil, ("no command '%s'; see: queuectl help %s"):format(
                table.concat(words, " "):sub(1, 100), words[1]), context.USAGE
        end
        if command.commands then return group(ctx, words[1], command) end
        return one(ctx, table.concat(words, " "), command)
    end,
}
