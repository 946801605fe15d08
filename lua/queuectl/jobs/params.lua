-- param "name" { type = "string", default =, choices = {}, required =, desc =, min =, max = }
-- The parameters of a program: what files declare, and the values given for this run, which are
-- text from the command line or values from JSON.

local list = require "queuectl.jobs.list"
local ref = require "queuectl.jobs.ref"
local secret = require "queuectl.jobs.secret"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local params = {}
params.__index = params

params.MAX_NAME = 64

local MAX_TEXT = 65536
local MAX_WHOLE = 2 ^ 53

local KEYS = { "choices", "default", "desc", "max", "min", "required", "type" }

-- ---- the types: read(value, state) -> value | nil, message; `empty` stands for a missing one ----

local types = {}

local function plain_text(value)
    if ref.token(value) then return nil, "must be known when the file is read, not a job output" end
    if secret.source(value) then return nil, "must not be a secret: values are stored" end
    if type(value) == "number" then value = text.number(value) end
    if type(value) ~= "string" then return nil, "must be text, not " .. text.describe(value) end
    if value:find("%z") then return nil, "contains a NUL byte" end
    if not text.is_utf8(value) then return nil, "is not valid UTF-8" end
    if #value > MAX_TEXT then
        return nil, ("%d bytes; the limit is %d"):format(#value, MAX_TEXT)
    end
    return value
end

types.string = { read = plain_text, empty = function() return "" end }

local function read_number(value)
    local number = value
    if type(value) == "string" then
        number = value:find("^[+-]?%d+%.?%d*$") and tonumber((value:gsub("^%+", "")))
    end
    if type(number) ~= "number" or number ~= number or math.abs(number) == math.huge then
        return nil, text.describe(value) .. " is not a number"
    end
    return number + 0
end

types.number = { read = read_number, empty = function(row) return row.min or row.max or 0 end }

types.integer = {
    empty = types.number.empty,
    read = function(value)
        local number = read_number(value)
        if not number or number % 1 ~= 0 or math.abs(number) > MAX_WHOLE then
            return nil, text.describe(value) .. " is not a whole number"
        end
        return number
    end,
}

local WORDS = { ["true"] = true, yes = true, on = true, ["1"] = true,
    ["false"] = false, no = false, off = false, ["0"] = false }

types.boolean = {
    empty = function() return false end,
    read = function(value)
        if type(value) == "string" and WORDS[value] ~= nil then return WORDS[value] end
        if type(value) == "boolean" then return value end
        return nil, text.describe(value) .. " is not true or false"
    end,
}

types.path = {
    empty = function(_, folder) return folder end,
    read = function(value, folder)
        local path, message = plain_text(value)
        if not path then return nil, message end
        if path == "" then return nil, "the path is empty" end
        if path:sub(1, 1) == "/" then return path end
        path = path:gsub("^%./+", "")
        return path == "." and folder or (folder == "/" and "" or folder) .. "/" .. path
    end,
}

local function split(value)
    local parts = {}
    for part in (value .. ","):gmatch("([^,]*),") do parts[#parts + 1] = part end
    return value == "" and {} or parts
end

types.list = {
    empty = function() return {} end,
    read = function(value)
        return list.map(type(value) == "string" and split(value) or value, plain_text)
    end,
}

local TYPE_NAMES = text.sorted_keys(types)

-- What other languages call them.
local MEANT = { array = "list", bool = "boolean", dir = "path", file = "path", float = "number",
    int = "integer", str = "string", text = "string" }

-- ---- what a declaration says ----

local function is_allowed(row, value)
    if row.type ~= "list" then return list.contains(row.choices, value) end
    for _, entry in ipairs(value) do
        if not list.contains(row.choices, entry) then return false, entry end
    end
    return true
end

local function shown(value)
    return type(value) == "string" and text.escape(value) or text.describe(value)
end

local function check_choice(row, value)
    local ok, entry = is_allowed(row, value)
    if ok then return true end
    if entry == nil then entry = value end
    local names = {}
    for i, choice in ipairs(row.choices) do names[i] = shown(choice) end
    local hint = type(entry) == "string" and suggest.hint(entry, names) or ""
    return nil, ("%s is not one of %s%s"):format(text.describe(entry), table.concat(names, ", "),
        hint)
end

local function check_range(row, value)
    if row.min and value < row.min then
        return nil, ("%s is less than %s"):format(text.number(value), text.number(row.min))
    end
    if row.max and value > row.max then
        return nil, ("%s is more than %s"):format(text.number(value), text.number(row.max))
    end
    return true
end

-- The value as the type wants it, within choices, min and max; or nil and a message.
local function read_value(row, value, folder)
    local read, message = types[row.type].read(value, folder)
    if read == nil then return nil, message end
    local ok = true
    if row.choices then ok, message = check_choice(row, read) end
    if ok and (row.min or row.max) then ok, message = check_range(row, read) end
    if not ok then return nil, message end
    return read
end

local checks = {}

function checks.type(row, value)
    if types[value] then return true end
    local hint = MEANT[value] and (" (did you mean '%s'?)"):format(MEANT[value])
        or type(value) == "string" and suggest.hint(value, TYPE_NAMES) or ""
    row.type = "string"
    return nil, ("unknown type %s%s; there are %s"):format(text.describe(value), hint,
        table.concat(TYPE_NAMES, ", "))
end

function checks.desc(_, value)
    if type(value) ~= "string" then return nil, "must be a string, not " .. text.describe(value) end
    return text.check_printable((value:gsub("[\n\t]", " ")), 1, 4096)
end

function checks.required(row, value)
    if type(value) ~= "boolean" then
        return nil, "must be true or false, not " .. text.describe(value)
    end
    if value and row.default ~= nil then return nil, "is of no use with a default" end
    return true
end

local function check_limit(row, value)
    if row.type ~= "integer" and row.type ~= "number" then
        return nil, "is only for integers and numbers"
    end
    local ok = type(value) == "number" and read_number(value)
    return ok, "must be a number, not " .. text.describe(value)
end

checks.min, checks.max = check_limit, check_limit

function checks.choices(row, value, folder)
    local of = { type = row.type == "list" and "string" or row.type }
    local choices, message = list.map(value, function(entry)
        local read, why = read_value(of, entry, folder)
        if read == nil then return nil, "is wrong: " .. why end
        return read
    end)
    if not choices then return nil, message end
    if #choices == 0 then return nil, "is empty" end
    local twice = list.repeated(choices)
    if twice ~= nil then return nil, ("%s is listed twice"):format(text.name(tostring(twice))) end
    row.choices = choices
    return true
end

function checks.default(row, value, folder)
    local read, message = read_value(row, value, folder)
    if read == nil then return nil, message end
    row.default = read
    return true
end

-- In this order, for each needs what was read before.
local ORDER = { "type", "desc", "min", "max", "choices", "default", "required" }

-- The declaration as a row; `report` is called with each thing that is wrong.
local function read_declaration(name, given, folder, report)
    local row = { name = name, type = "string", required = false }
    for _, key in ipairs(text.sorted_keys(given)) do
        if not checks[key] then
            report(type(key) ~= "string" and "unexpected value at position " .. text.describe(key)
                or ("unknown key %s%s"):format(text.name(key), suggest.hint(key, KEYS)))
        end
    end
    for _, key in ipairs(ORDER) do
        if given[key] ~= nil then
            row[key] = given[key]
            local ok, message = checks[key](row, given[key], folder)
            if not ok then
                report(key .. ": " .. message)
                row[key] = key == "type" and "string" or nil
            end
        end
    end
    if row.min and row.max and row.min > row.max then report("min is more than max") end
    return row
end

-- ---- the parameters of a program ----

local function copy(value)
    return type(value) == "table" and { unpack(value) } or value
end

local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b end
    if #a ~= #b then return false end
    for i = 1, #a do
        if a[i] ~= b[i] then return false end
    end
    return true
end

local function agrees(a, b)
    for _, key in ipairs { "type", "default", "choices", "required", "min", "max" } do
        if not same(a[key], b[key]) then return false end
    end
    return true
end

local function stand_in(row, folder)
    if row.choices and row.type ~= "list" then return row.choices[1] end
    return types[row.type].empty(row, folder)
end

-- What the file gets: the value given, the default, or for a required one that is missing a
-- stand-in, so that the file is read to its end and every mistake is known.
function params:value_of(row, folder)
    local given = self.given[row.name]
    if given == nil then given = self.earlier[row.name] end
    if given == nil then
        if not row.required then return row.default end
        if self.missing_ok then return stand_in(row, folder) end
        self.wrong[#self.wrong + 1] = ("missing parameter %s; give -p %s=%s"):format(
            text.name(row.name), row.name, row.type:upper())
        return stand_in(row, folder)
    end
    row.given = true
    local value, message = read_value(row, given, self.cwd or folder)
    if value ~= nil then return value end
    self.wrong[#self.wrong + 1] = ("parameter %s: %s"):format(text.name(row.name), message)
    if row.default ~= nil then return row.default end
    return stand_in(row, folder)
end

-- Sets the value, and enters the declaration when there is none of that name.
function params:enter(row, folder, report)
    local earlier = self.by_name[row.name]
    if earlier then
        if not agrees(earlier, row) then
            report(("is declared differently at %s:%s"):format(earlier.unit.display,
                earlier.line or "?"))
        end
        return copy(earlier.value)
    end
    row.value = self:value_of(row, folder)
    self.by_name[row.name] = row
    self.list[#self.list + 1] = row
    return copy(row.value)
end

--- A declaration at the place `at`: its value for the file. `folder` is what relative paths are
-- relative to; `report(message)` takes what is wrong with the declaration.
function params:declare(name, given, at, folder, report)
    local row = read_declaration(name, given, folder, report)
    row.line, row.unit = at.line, at.unit
    return self:enter(row, folder, report)
end

--- true for a usable name, or nil and a message.
function params.check_name(name)
    if type(name) ~= "string" then
        return nil, "a parameter's name must be a string, not " .. text.describe(name)
    end
    if #name <= params.MAX_NAME and name:find("^[%a_][%w_-]*$") then return true end
    return nil, ("bad parameter name %s: 1 to %d letters, digits, _ and -, not starting with a "
        .. "digit or -"):format(text.quote(name), params.MAX_NAME)
end

--- Messages about names given that no file declares.
function params:unknown()
    local names, messages = {}, {}
    for i, row in ipairs(self.list) do names[i] = row.name end
    local known = #names > 0 and "there are " .. table.concat(names, ", ")
        or "the file declares none"
    for _, name in ipairs(text.sorted_keys(self.given)) do
        if not self.by_name[name] then
            messages[#messages + 1] = ("unknown parameter %s%s; %s"):format(
                text.name(tostring(name)), suggest.hint(tostring(name), names), known)
        end
    end
    return messages
end

--- Name -> value of all that have one.
function params:values()
    local values = {}
    for _, row in ipairs(self.list) do values[row.name] = copy(row.value) end
    return values
end

--- The declarations as plain data.
function params:describe()
    local described = {}
    for i, row in ipairs(self.list) do
        described[i] = { name = row.name, type = row.type, default = copy(row.default),
            choices = copy(row.choices), required = row.required, desc = row.desc, min = row.min,
            max = row.max, value = copy(row.value), given = row.given or false,
            line = row.line, file = row.unit.display }
    end
    return described
end

--- `given`: name -> text or value. opts: `cwd` what paths given for this run are relative to;
-- `missing_ok` required ones may be missing; `earlier` values for those that are not given, some
-- of which may not be declared any more. `wrong` collects what is wrong with the values given.
function params.new(given, opts)
    return setmetatable({ given = given or {}, cwd = opts.cwd, missing_ok = opts.missing_ok,
        earlier = opts.earlier or {}, list = {}, by_name = {}, wrong = {} }, params)
end

return params
