-- The texts of a program (jobs files and their modules) as Lua chunks, and where in them an error
-- happened. Everything that loads a text goes through here, so that the process that plans and the
-- one that later runs a Lua job read the very same program.
--
-- Positions are asked for by `code`: what chunk.code() made of several texts, or the label of one.

local syntax = require "queuectl.jobs.syntax"
local text = require "queuectl.jobs.text"

-- Kept from before any file could replace them.
local getinfo, traceback_of = debug.getinfo, debug.traceback
local load, error, tostring, pcall = load, error, tostring, pcall

local chunk = {}

chunk.MAX_BYTES = 8 * 1024 * 1024

-- LuaJIT cuts a chunk's name after 59 bytes: a longer path gets a short name of its own.
local MAX_LABEL = 56

--- The chunk name under which `display` is loaded, short enough to come back uncut.
function chunk.label(display)
    if #display <= MAX_LABEL then return display end
    return "..." .. display:sub(-MAX_LABEL + 3):gsub("^[\128-\191]+", "")
end

local code_meta = {}
code_meta.__index = code_meta

--- The texts of one program: `units` in the order they were added.
function chunk.code()
    return setmetatable({ units = {}, by_source = {} }, code_meta)
end

-- The label of a text, unlike all others. A display that two texts share gives way to the path.
local function new_label(self, display, path)
    local label, number = chunk.label(display), 1
    if self.by_source["=" .. label] then
        display, label = path, chunk.label(path)
    end
    while self.by_source["=" .. label] do
        number = number + 1
        label = ("%d%s"):format(number, chunk.label(path):sub(-MAX_LABEL + 5))
    end
    return label, display
end

--- Enters a text and returns its unit: { display =, path =, text =, label =, order = }. The same
-- text again has the same unit.
function code_meta:add(display, path, source)
    for _, unit in ipairs(self.units) do
        if unit.path == path and unit.text == source then return unit end
    end
    local label
    label, display = new_label(self, display, path)
    local unit = { display = display, path = path, text = source, label = label,
        order = #self.units + 1 }
    self.units[unit.order], self.by_source["=" .. label] = unit, unit
    return unit
end

-- Chunk name -> unit. A label alone stands for a program of one text.
local function sources_of(code)
    if type(code) == "table" then return code.by_source end
    return { ["=" .. code] = { label = code } }
end

local function line_at(source, position)
    local _, newlines = source:sub(1, position - 1):gsub("\n", "")
    return newlines + 1
end

local function without_shebang(source)
    if source:sub(1, 2) ~= "#!" then return source end
    return source:match("\n.*$") or ""
end

local function check_source(source)
    if #source > chunk.MAX_BYTES then
        return nil, ("%d bytes long; the limit is %d"):format(#source, chunk.MAX_BYTES)
    end
    local start = source:sub(1, 2)
    if start == "\255\254" or start == "\254\255" then
        return nil, "UTF-16 text; save the file as UTF-8"
    end
    return true
end

local function check_code(code)
    if code:find("^%s*\27") then
        return nil, "precompiled Lua; only source text is accepted"
    end
    local ok, position = text.is_utf8(code)
    if not ok then
        return nil, "not valid UTF-8; save the file as UTF-8, write other bytes as \"\\255\"",
            line_at(code, position)
    end
    return true
end

local function split_label(label, message)
    local prefix = label .. ":"
    if message:sub(1, #prefix) ~= prefix then return nil end
    local line, rest = message:match("^(%d+): (.*)$", #prefix + 1)
    return tonumber(line), rest
end

--- Splits "LABEL:LINE: message" into line, message and unit; nil, message without a position.
function chunk.split(code, message)
    for _, unit in next, sources_of(code) do
        local line, rest = split_label(unit.label, message)
        if line then return line, rest, unit end
    end
    return nil, message
end

--- A function ready to be called, or nil, a message and the line (nil where there is none).
-- A byte order mark is skipped and a first line "#!…" blanked; both leave the lines as they are.
function chunk.load(source, label, env)
    local ok, message = check_source(source)
    if not ok then return nil, message end
    local line
    local code = without_shebang((source:gsub("^\239\187\191", "")))
    ok, message, line = check_code(code)
    if not ok then return nil, message, line end
    local fn, failure = load(code, "=" .. label, "t", env)
    if fn then return fn end
    line, message = chunk.split(label, failure)
    return nil, message .. syntax.hint(code, line, message), line
end

--- The line of the innermost running function that stands in the program's texts, and its unit;
-- or nil.
function chunk.line(code)
    local sources, level = sources_of(code), 2
    while true do
        local info = getinfo(level, "Sl")
        if not info then return nil end
        local unit = sources[info.source]
        if unit and info.currentline > 0 then return info.currentline, unit end
        level = level + 1
    end
end

--- Raises `message` at the program's current line, however deep inside our own functions we are.
function chunk.raise(code, message)
    local line, unit = chunk.line(code)
    error(line and ("%s:%d: %s"):format(unit.label, line, message) or message, 0)
end

-- The level to begin a traceback at: the program's own line if it was chunk.raise that raised.
-- Seen from the message handler that calls chunk.traceback.
local function first_level(code)
    local sources, level, raised_here = sources_of(code), 4, false
    while true do
        local info = getinfo(level, "fS")
        if not info then return 4 end
        if info.func == chunk.raise then raised_here = true end
        if sources[info.source] then return raised_here and level or 4 end
        level = level + 1
    end
end

--- For a message handler: the message with the calls that led to it, as far down as the xpcall.
function chunk.traceback(code, message)
    -- One less: first_level counts itself.
    local traceback = traceback_of(message, first_level(code) - 1)
    local from = traceback:find("\n%s*%[C%]: in function 'xpcall'")
    return from and traceback:sub(1, from - 1) or traceback
end

-- "module 'x' not found:" is followed by twenty lines of places.
local function one_line(message)
    local missing = message:match("(module '.-' not found):\n")
    if missing then return missing end
    return (message:gsub("%s*\n%s*", " "))
end

local function table_text(value)
    local meta = getmetatable(value)
    if type(meta) == "table" and meta.__tostring then
        local ok, str = pcall(tostring, value)
        if ok and type(str) == "string" then return str end
    end
    local message = rawget(value, "message")
    if type(message) == "string" then return message end
    local parts = {}
    for _, key in ipairs(text.sorted_keys(value)) do
        local field = text.describe(rawget(value, key))
        parts[#parts + 1] = type(key) == "string" and key .. " = " .. field or field
        if #parts == 8 then break end
    end
    if #parts == 0 then return "an error was raised with an empty table" end
    return "an error was raised with a table: { " .. table.concat(parts, ", ") .. " }"
end

--- Whatever was raised as text: error({}) and error(nil) included.
function chunk.error_text(value)
    if type(value) == "string" then return value end
    if type(value) == "table" then return table_text(value) end
    if value == nil then return "an error was raised without a message" end
    return "an error was raised with " .. text.describe(value)
end

--- For a message handler: the line (or nil), the message and the unit of a raised value.
function chunk.explain(code, value)
    local message = chunk.error_text(value)
    local line, rest, unit = chunk.split(code, message)
    -- Raised again on its way (error(message), a coroutine), it has the first place behind others.
    while line do
        local inner, further, where = chunk.split(code, rest)
        if not inner then break end
        line, rest, unit = inner, further, where
    end
    if not rest:find("%S") then rest = "an error was raised without a message" end
    if not line then line, unit = chunk.line(code) end
    return line, one_line(rest), unit
end

return chunk
