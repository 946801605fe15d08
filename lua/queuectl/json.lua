-- JSON for people and programs to read: keys in the order given, text always valid UTF-8 (what is
-- not becomes U+FFFD), whole numbers as such. lua-cjson can do neither; it does the decoding.

local text = require "queuectl.jobs.text"

local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end })

local ORDER, LIST = {}, {}

--- An object with its keys in this order: json.object{ { "id", 1 }, { "state", "dead" } }.
-- A value of nil leaves the key out.
function json.object(pairs_list)
    return { [ORDER] = pairs_list }
end

--- A list, also when it is empty.
function json.list(items)
    return { [LIST] = items }
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }

local function escape(char)
    return ESCAPES[char] or ("\\u%04x"):format(char:byte(-1))
end

--- A JSON string, quotes included; control characters (C1 as well) are escaped.
function json.quote(str)
    if str:find('[%z\1-\31"\\\127-\255]') then
        str = text.repair(str):gsub('[%z\1-\31"\\\127]', escape):gsub("\194[\128-\159]", escape)
    end
    return '"' .. str .. '"'
end

local encode

local function encode_number(value)
    if value ~= value or value == math.huge or value == -math.huge then return "null" end
    if value % 1 == 0 and math.abs(value) < 1e15 then return ("%.0f"):format(value) end
    return ("%.14g"):format(value)
end

local function encode_pairs(list, out)
    out[#out + 1] = "{"
    local first = true
    for _, pair in ipairs(list) do
        if pair[2] ~= nil then
            out[#out + 1] = (first and "" or ",") .. json.quote(pair[1]) .. ":"
            encode(pair[2], out)
            first = false
        end
    end
    out[#out + 1] = "}"
end

local function encode_list(items, out)
    out[#out + 1] = "["
    for i, item in ipairs(items) do
        if i > 1 then out[#out + 1] = "," end
        encode(item, out)
    end
    out[#out + 1] = "]"
end

local function encode_map(map, out)
    local keys, list = {}, {}
    for key in pairs(map) do keys[#keys + 1] = tostring(key) end
    table.sort(keys)
    for i, key in ipairs(keys) do
        local value = map[key]
        if value == nil then value = map[tonumber(key)] end
        list[i] = { key, value }
    end
    encode_pairs(list, out)
end

local function encode_table(value, out)
    if value == json.null then
        out[#out + 1] = "null"
    elseif value[ORDER] then
        encode_pairs(value[ORDER], out)
    elseif value[LIST] or #value > 0 then
        encode_list(value[LIST] or value, out)
    else
        encode_map(value, out)
    end
end

function encode(value, out)
    local kind = type(value)
    if kind == "table" then
        encode_table(value, out)
    elseif kind == "string" then
        out[#out + 1] = json.quote(value)
    elseif kind == "number" then
        out[#out + 1] = encode_number(value)
    else
        out[#out + 1] = tostring(value)
    end
end

function json.encode(value)
    local out = {}
    encode(value, out)
    return table.concat(out)
end

local decoder

local function new_decoder()
    decoder = require("cjson").new()
    decoder.decode_invalid_numbers(false)
    decoder.decode_max_depth(32)
    return decoder
end

--- The value, or nil and a message.
function json.decode(str)
    decoder = decoder or new_decoder()
    local ok, value = pcall(decoder.decode, str)
    if not ok then return nil, (tostring(value):gsub("^.-:%d+: ", "")) end
    return value
end

return json
