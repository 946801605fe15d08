-- What every command gets: where its results go, the store, and how people want to see things.

local core = require "queuectl.core"

local context = {}
context.__index = context

--- Exit codes; core/util.h and `help exit-codes` have the same table.
context.FAILED, context.USAGE, context.NOT_FOUND, context.STATE = 1, 2, 3, 4
context.PARTLY, context.STORE, context.PERMISSION, context.UNKNOWN = 5, 6, 7, 75
context.CONFIG, context.TIMED_OUT, context.INTERRUPTED = 78, 124, 130

local function default_store()
    local data = os.getenv("XDG_DATA_HOME")
    if not data or data == "" then
        local home = os.getenv("HOME")
        if not home or home == "" then
            return nil, "neither --store, $QUEUECTL_STORE, $XDG_DATA_HOME nor $HOME says where "
                .. "the store is; give --store FILE", context.USAGE
        end
        data = home .. "/.local/share"
    end
    return data .. "/queuectl/queue.db"
end

local function wants_color(choice, tty)
    if choice == "always" then return true end
    if choice == "never" or not tty then return false end
    return (os.getenv("NO_COLOR") or "") == "" and os.getenv("TERM") ~= "dumb"
end

--- options: the global ones, as cli.lua read them.
function context.new(options)
    local tty = core.isatty(1)
    local columns, rows = core.terminal_size(1)
    return setmetatable({
        options = options, buffer = {}, buffered = 0,
        tty = tty, columns = columns, rows = rows,
        json = options.json or options.output == "json",
        quiet = options.quiet, verbose = options.verbose,
        color = wants_color(options.color, tty),
    }, context)
end

--- A result, to standard output. Written when enough has come together, and at the end.
function context:print(text)
    self.buffer[#self.buffer + 1] = text
    self.buffered = self.buffered + #text
    if self.buffered > 65536 then self:flush() end
end

--- true, or nil when standard output cannot be written; says so once.
function context:flush()
    local text = table.concat(self.buffer)
    self.buffer, self.buffered = {}, 0
    if text == "" or self.output_failed then return not self.output_failed end
    local ok, message = core.write(1, text)
    if ok then return true end
    self.output_failed = message
    return nil
end

--- A remark, to standard error; --quiet leaves it out.
function context:note(text)
    if not self.quiet then
        self:flush()
        core.write(2, text .. "\n")
    end
end

--- Path of the store, made absolute so that it means the same to the processes we start.
function context:store_path()
    local path = self.options.store or os.getenv("QUEUECTL_STORE")
    if path == "" and not self.options.store then path = nil end
    if path then
        if path == "" then
            return nil, "--store: an empty path; give a file's path", context.USAGE
        end
        if path:find("://", 1, true) or path:sub(1, 1) == "/" then return path end
        return assert(core.cwd()) .. "/" .. path
    end
    local message, code
    path, message, code = default_store()
    if not path then return nil, message, code end
    local ok
    ok, message, code = core.make_dirs(path:match("^(.*)/"))
    if not ok then
        return nil, ("no folder for the store: %s; give --store FILE"):format(message),
            code == context.PERMISSION and code or context.STORE
    end
    return path
end

--- The open store, or nil, message, exit code. Created where there is none.
function context:store()
    if self.opened then return self.opened end
    local path, message, code = self:store_path()
    if not path then return nil, message, code end
    local store
    store, message, code = core.open(path, true)
    if not store then return nil, message, code end
    self.opened = store
    return store
end

function context:close()
    if self.opened then self.opened:close() end
    self.opened = nil
end

local STYLES = { bold = "1", dim = "2", red = "31", green = "32", yellow = "33", cyan = "36" }

function context:style(name, text)
    if not self.color then return text end
    return ("\27[%sm%s\27[0m"):format(STYLES[name], text)
end

return context
