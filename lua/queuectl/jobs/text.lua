-- Text for messages, and the checks every piece of user text goes through.

local text = {}

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape_byte(char)
    return ESCAPES[char] or ("\\x%02x"):format(char:byte())
end

local function escape_pair(pair)
    return (pair:gsub(".", escape_byte))
end

-- The ranges of the second byte refuse overlong forms, surrogates and values above U+10FFFF.
local function sequence_length(str, at)
    local lead, second = str:byte(at, at + 1)
    if lead < 0xC2 or lead > 0xF4 or not second then return nil end
    local low, high = 0x80, 0xBF
    if lead == 0xE0 then low = 0xA0 elseif lead == 0xF0 then low = 0x90 end
    if lead == 0xED then high = 0x9F elseif lead == 0xF4 then high = 0x8F end
    if second < low or second > high then return nil end
    local length = lead < 0xE0 and 2 or lead < 0xF0 and 3 or 4
    for i = at + 2, at + length - 1 do
        local byte = str:byte(i)
        if not byte or byte < 0x80 or byte > 0xBF then return nil end
    end
    return length
end

--- true, or false and the position of the first byte that is not UTF-8.
function text.is_utf8(str)
    local at = str:find("[\128-\255]")
    while at do
        local length = sequence_length(str, at)
        if not length then return false, at end
        at = str:find("[\128-\255]", at + length)
    end
    return true
end

--- The same text with U+FFFD for each byte that is not UTF-8.
function text.repair(str)
    local parts, from, at = {}, 1, str:find("[\128-\255]")
    while at do
        local length = sequence_length(str, at)
        if not length then
            parts[#parts + 1] = str:sub(from, at - 1) .. "\239\191\189"
            from = at + 1
        end
        at = str:find("[\128-\255]", at + (length or 1))
    end
    return table.concat(parts) .. str:sub(from)
end

--- One word for a POSIX shell, in quotes.
function text.shell_quote(str)
    return "'" .. str:gsub("'", "'\\''") .. "'"
end

--- The same, in quotes only where it needs them.
function text.shell_word(str)
    if str ~= "" and not str:find("[^%w_%-%./:=@%%+,]") then return str end
    return text.shell_quote(str)
end

--- Control characters (and bytes that are not UTF-8) made visible.
function text.escape(str)
    str = str:gsub("[%z\1-\31\127]", escape_byte):gsub("\194[\128-\159]", escape_pair)
    if text.is_utf8(str) then return str end
    return (str:gsub("[\128-\255]", escape_byte))
end

--- The first `max` bytes, never half a character, with "..." for what was cut.
function text.shorten(str, max)
    if #str <= max then return str end
    local last = max
    while last > 0 and (str:byte(last + 1) or 0) >= 0x80 and str:byte(last + 1) < 0xC0 do
        last = last - 1
    end
    return str:sub(1, last) .. "..."
end

--- A value of the user's between quotes: "5 parsecs", or 'build' with quote = "'".
function text.quote(str, quote)
    quote = quote or '"'
    return quote .. text.escape(text.shorten(str, 60)) .. quote
end

function text.name(str)
    return text.quote(str, "'")
end

--- Exact decimal text of a number: 3, 0.1, 9007199254740992, inf, nan.
function text.number(value)
    if value == 0 then return "0" end
    if value ~= value then return "nan" end
    if value % 1 == 0 and math.abs(value) < 1e17 then return ("%.0f"):format(value) end
    for digits = 14, 17 do
        local str = ("%." .. digits .. "g"):format(value)
        if tonumber(str) == value then return str end
    end
    return tostring(value)
end

--- The text of a string, number or boolean, or nil and what is wrong with the value.
function text.scalar(value)
    local kind = type(value)
    if kind == "string" then return value end
    if kind == "boolean" then return tostring(value) end
    if kind ~= "number" then
        return nil, "must be a string, number or boolean, not " .. text.kind(value)
    end
    if value ~= value or math.abs(value) == math.huge then return nil, "is not a finite number" end
    return text.number(value)
end

--- What a value is: "a string", "a job output" (a metatable's __name is followed).
function text.kind(value)
    local meta = getmetatable(value)
    local name = type(meta) == "table" and rawget(meta, "__name")
    if name then return name end
    return value == nil and "nil" or "a " .. type(value)
end

--- What was given, for "…, not X": strings and numbers as written, else the kind.
function text.describe(value)
    if type(value) == "string" then return text.quote(value) end
    if type(value) == "number" then return text.number(value) end
    if type(value) == "boolean" then return tostring(value) end
    return text.kind(value)
end

local function has_control(str)
    return str:find("[%z\1-\31\127]") or str:find("\194[\128-\159]")
end

--- Short text for people: `min`..`max` bytes of UTF-8 without control characters.
-- Returns true or nil and what is wrong.
function text.check_printable(str, min, max)
    if #str < min or not str:find("%S") and min > 0 then return nil, "is empty" end
    if #str > max then
        return nil, ("is %d bytes long; the limit is %d"):format(#str, max)
    end
    if not text.is_utf8(str) then return nil, "is not valid UTF-8" end
    if has_control(str) then return nil, "contains a control character" end
    return true
end

--- How often something is, with the right plural: count(1, "problem").
function text.count(number, noun)
    return ("%d %s%s"):format(number, noun, number == 1 and "" or "s")
end

--- The keys of a table, sorted; keys that are not strings come first, by their text.
function text.sorted_keys(map)
    local keys = {}
    for key in next, map do keys[#keys + 1] = key end
    table.sort(keys, function(a, b)
        if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
        if type(a) == type(b) then return tostring(a) < tostring(b) end
        return type(a) < type(b)
    end)
    return keys
end

return text
