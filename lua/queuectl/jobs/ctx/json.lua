-- ctx.json: strict JSON. What cannot be said in it is an error, never left out or changed, and the
-- same value gives the same text each time.

local cjson = require "cjson"
local json_text = require "queuectl.json"
local options = require "queuectl.jobs.ctx.options"
local ref = require "queuectl.jobs.ref"
local text = require "queuectl.jobs.text"

local json = {}

json.null = cjson.null

local MAX_DEPTH = 100

-- Tables that are lists although they are empty.
local lists = setmetatable({}, { __mode = "k" })

-- Encoding -------------------------------------------------------------------------------------

local function at(path)
    return path == "" and "the value" or text.name(path)
end

local function fail(path, message)
    error({ json = ("%s %s"):format(at(path), message) }, 0)
end

-- The number of entries if it is a list, or nil if it is a map.
local function list_length(value, path)
    local count, highest, named = 0, 0, false
    for key in next, value do
        if type(key) == "number" then
            count, highest = count + 1, math.max(highest, key)
            if key < 1 or key % 1 ~= 0 then
                fail(path, "has the key " .. text.number(key)
                    .. ": a list counts from 1, the keys of an object are strings")
            end
        elseif type(key) == "string" then
            named = key
        else
            fail(path, "has " .. text.describe(key) .. " as a key: keys are strings")
        end
    end
    if count > 0 and named then
        fail(path, ("has numbered entries and the key %s: JSON has lists and objects, "
            .. "nothing between"):format(text.name(named)))
    end
    if count ~= highest then
        fail(path, ("is a list with holes (%d entries, the last is number %.0f): "
            .. "put ctx.json.null there"):format(count, highest))
    end
    if count > 0 or lists[value] and not named then return count end
end

local Writer = {}
Writer.__index = Writer

function Writer:put(str)
    self[#self + 1] = str
end

function Writer:line(depth)
    if self.pretty then self:put("\n" .. ("  "):rep(depth)) end
end

function Writer:list(value, length, path, depth)
    if length == 0 then return self:put("[]") end
    for i = 1, length do
        self:put(i == 1 and "[" or ",")
        self:line(depth)
        self:value(value[i], ("%s[%d]"):format(path, i), depth)
    end
    self:line(depth - 1)
    self:put("]")
end

function Writer:map(value, path, depth)
    local keys = text.sorted_keys(value)
    if #keys == 0 then return self:put("{}") end
    for i, key in ipairs(keys) do
        self:put(i == 1 and "{" or ",")
        self:line(depth)
        local inner = path == "" and key or path .. "." .. key
        self:string(key, inner)
        self:put(self.pretty and ": " or ":")
        self:value(rawget(value, key), inner, depth)
    end
    self:line(depth - 1)
    self:put("}")
end

function Writer:table(value, path, depth)
    if ref.def(value) then fail(path, "is a job, which JSON cannot carry") end
    if depth > MAX_DEPTH then
        fail(path:sub(1, 60), ("is nested deeper than %d tables; does one contain itself?"):format(
            MAX_DEPTH))
    end
    local length = list_length(value, path)
    if length then return self:list(value, length, path, depth) end
    return self:map(value, path, depth)
end

function Writer:string(value, path)
    if not text.is_utf8(value) then
        fail(path, "is not valid UTF-8, which JSON must be; encode the bytes first")
    end
    self:put(json_text.quote(value))
end

function Writer:number(value, path)
    if value ~= value or math.abs(value) == math.huge then
        fail(path, "is not a finite number: " .. text.number(value))
    end
    self:put(text.number(value))
end

function Writer:value(value, path, depth)
    local kind = type(value)
    if kind == "table" then return self:table(value, path, depth + 1) end
    if kind == "string" then return self:string(value, path) end
    if kind == "number" then return self:number(value, path) end
    if kind == "boolean" then return self:put(tostring(value)) end
    if value == json.null then return self:put("null") end
    fail(path, "is " .. text.kind(value) .. ", which JSON cannot carry"
        .. (value == nil and "; write ctx.json.null" or ""))
end

local ENCODE_OPTIONS = { { "pretty", options.boolean } }

--- ctx.json.encode(value, { pretty = true })
function json.encode(_, value, given)
    local opts, message = options.read(given, ENCODE_OPTIONS)
    if not opts then return nil, message end
    local writer = setmetatable({ pretty = opts.pretty }, Writer)
    local ok, problem = pcall(writer.value, writer, value, "", 0)
    if ok then return table.concat(writer) end
    if type(problem) == "table" and problem.json then return nil, problem.json end
    error(problem, 0)
end

-- Decoding -------------------------------------------------------------------------------------

local decoder = cjson.new()
decoder.decode_invalid_numbers(false)
decoder.decode_max_depth(MAX_DEPTH)

-- The position after the string whose opening quote is at `from`.
local function skip_string(str, from)
    local pos = from + 1
    while true do
        local found = str:find('["\\]', pos)
        if not found then return #str + 1 end
        if str:byte(found) == 34 then return found + 1 end
        pos = found + 2
    end
end

-- cjson reads [] and {} as the same. So that a list stays one, each [] becomes a list of `mark`.
local function mark_empty_lists(str, mark)
    local parts, from, pos = {}, 1, 1
    while true do
        local found = str:find('["%[]', pos)
        if not found then break end
        local close = str:byte(found) == 91 and str:match("^%[[ \t\r\n]*()%]", found)
        if close then
            parts[#parts + 1] = str:sub(from, found) .. mark
            from = close
            pos = close + 1
        else
            pos = str:byte(found) == 34 and skip_string(str, found) or found + 1
        end
    end
    return table.concat(parts) .. str:sub(from)
end

local function unmark(value, mark)
    if type(value) ~= "table" then return end
    if value[1] == mark then
        value[1] = nil
        lists[value] = true
        return
    end
    for _, inner in next, value do unmark(inner, mark) end
end

-- A string that does not occur in the text.
local function new_mark(str)
    local number = 0
    while str:find("[]" .. number, 1, true) do number = number + 1 end
    return "[]" .. number
end

local function position(str, at_byte)
    local before = str:sub(1, at_byte - 1)
    local _, newlines = before:gsub("\n", "")
    local column = before:reverse():find("\n", 1, true) or #before + 1
    return ("line %d, column %d"):format(newlines + 1, column)
end

local function decode_failure(str, message)
    message = tostring(message):gsub("^.-:%d+: ", "")
    return (message:gsub(" at character (%d+)$", function(byte)
        return " at " .. position(str, tonumber(byte))
    end))
end

--- ctx.json.decode(text): null is ctx.json.null.
function json.decode(_, str)
    if type(str) ~= "string" then return nil, "takes a text, not " .. text.describe(str) end
    local ok, value = pcall(decoder.decode, str)
    if not ok then return nil, decode_failure(str, value) end
    if type(value) == "table" and str:find("%[[ \t\r\n]*%]") then
        local mark = new_mark(str)
        value = decoder.decode(mark_empty_lists(str, '"' .. mark .. '"'))
        unmark(value, mark)
    end
    return value
end

--- ctx.json.list(t): t is a list, also when it is empty.
function json.list(_, value)
    if type(value) ~= "table" then return nil, "takes a table, not " .. text.describe(value) end
    lists[value] = true
    return value
end

json.functions = { decode = json.decode, encode = json.encode, list = json.list }

return json
