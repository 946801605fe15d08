-- Lua's messages for text that is no Lua are about tokens. Where the line looks like what people
-- coming from other tools write, this says what is meant.

local schema = require "queuectl.schema"

local syntax = {}

local MEANT = {
    ["unfinished string"] = " (text over several lines stands in [[ ]])",
    ["invalid escape sequence"] = " (write \\\\ for \\, or put the text into [[ ]])",
}

local function by_message(_, message)
    for start, hint in pairs(MEANT) do
        if message:find(start, 1, true) == 1 then return hint end
    end
end

-- run: "make"
local function colon(line)
    local key = line:match("^[%s{,]*([%a_][%w_-]*):%s") or line:match("[{,]%s*([%a_][%w_-]*):%s")
    return key and (" (write %s = ...)"):format(key)
end

-- timeout-minutes = 5, if = ...
local function no_name(line)
    local key = line:match("([%a_][%w_]*%-[%w_-]*)%s*=[^=]")
    if not key and line:find("%f[%w_]if%s*=[^=]") then key = "if" end
    if not key then return nil end
    local hint = schema.hint(key)
    return hint ~= "" and hint or (" (write [\"%s\"] = ...)"):format(key)
end

-- run = "x" and on the next line needs = ..., with no comma between
local function comma(line, message)
    local name = message:match("^'}' expected.* near '([%a_][%w_]*)'$")
    if name and line:find("^%s*" .. name .. "%s*=[^=]") then
        return (" (is a comma missing before %s?)"):format(name)
    end
end

-- needs = ["a", "b"]
local function brackets(line, message)
    if message:find("near '['", 1, true) and line:find("=%s*%[") then
        return " (a list is { ... })"
    end
end

-- job build { ... }
local function bare_name(line)
    local word, name = line:match("^%s*(%l+)%s+([%a_][%w_-]*)%s*{")
    if word == "job" or word == "param" then
        return (' (write %s "%s" { ... })'):format(word, name)
    end
    local of = line:match("=%s*param%s+([%a_][%w_-]*)%s*{")
    return of and (' (write param "%s" { ... })'):format(of)
end

local function not_equal(line)
    return line:find("!=", 1, true) and line:find "%f[%w_]if%f[^%w_]" and " (write ~= for !=)"
end

-- [[ [[ -f x ]] && y ]]
local function closed_early(line, message)
    if message:find("^'}' expected") and line:find("]]", 1, true) then
        return " (text that has ]] in it stands in [=[ ]=])"
    end
end

local RULES = { by_message, colon, no_name, comma, brackets, bare_name, not_equal, closed_early }

local function line_of(source, number)
    local n = 0
    for line in (source .. "\n"):gmatch("([^\n]*)\n") do
        n = n + 1
        if n == number then return line end
    end
    return ""
end

--- What may be meant by the line at which Lua found `message` wrong: " (...)", or "".
function syntax.hint(source, number, message)
    local line = line_of(source, number or 0)
    for _, rule in ipairs(RULES) do
        local hint = rule(line, message)
        if hint then return hint end
    end
    return ""
end

return syntax
