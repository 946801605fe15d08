-- matrix = { db = { "sqlite", "pg" }, lua = { "5.1", "jit" }, include = …, exclude = … }
--
-- 1. Every combination of the lists, keys in byte order, the last one changing fastest.
-- 2. An `exclude` entry removes the combinations that have all of its values.
-- 3. An `include` entry adds its further keys to each remaining combination of step 1 that has
--    the same values for the keys they share; where there is none, it is a combination itself.
-- As in GitHub Actions, except that an `exclude` entry with an unknown key or value is an error.

local list = require "queuectl.jobs.list"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local matrix = {}

matrix.MAX_COMBINATIONS = 10000

local KEY_PATTERN = "^[%a_][%w_]*$"
local RESERVED = { include = true, exclude = true }

-- Text of a value as it stands in names and in MATRIX_…, or nil and what is wrong.
local function value_text(value)
    local str, message = text.scalar(value)
    if not str then return nil, message end
    local ok
    ok, message = text.check_printable(str, 0, 200)
    return ok and str, message
end

local function check_key(key)
    if type(key) == "string" and key:find(KEY_PATTERN) then return true end
    local shown = type(key) == "string" and text.name(key) or text.describe(key)
    return nil, ("bad key %s: letters, digits and _"):format(shown)
end

local function read_axis(key, values)
    local length = list.length(values)
    if not length then
        return nil, ("'%s' must be a list of values, such as { \"a\", \"b\" }"):format(key)
    end
    if length == 0 then return nil, ("'%s' has no values"):format(key) end
    local axis = { key = key, values = values, texts = {}, known = {} }
    for i = 1, length do
        local str, message = value_text(values[i])
        if not str then return nil, ("'%s': value %d %s"):format(key, i, message) end
        if axis.known[str] then return nil, ("'%s' has %s twice"):format(key, text.name(str)) end
        axis.known[str], axis.texts[i] = true, str
    end
    return axis
end

local function read_axes(given)
    local axes, by_key, product = {}, {}, 1
    for _, key in ipairs(text.sorted_keys(given)) do
        if not RESERVED[key] then
            local ok, message = check_key(key)
            if not ok then return nil, message end
            local axis
            axis, message = read_axis(key, given[key])
            if not axis then return nil, message end
            axes[#axes + 1], by_key[key] = axis, axis
            product = product * #axis.texts
        end
    end
    if product > matrix.MAX_COMBINATIONS then
        return nil, ("%.0f combinations; the limit is %d"):format(product, matrix.MAX_COMBINATIONS)
    end
    return axes, by_key
end

-- One entry of include or exclude: sorted keys, values and their texts.
local function read_entry(what, index, given)
    local where = ("%s: entry %d"):format(what, index)
    if type(given) ~= "table" or getmetatable(given) then
        return nil, where .. ' must be a table such as { db = "pg" }, not ' .. text.describe(given)
    end
    local entry = { where = where, keys = text.sorted_keys(given), values = given, texts = {} }
    if #entry.keys == 0 then return nil, where .. " is empty" end
    for _, key in ipairs(entry.keys) do
        local ok, message = check_key(key)
        if not ok then return nil, where .. ": " .. message end
        entry.texts[key], message = value_text(given[key])
        if message then return nil, ("%s: '%s' %s"):format(where, key, message) end
    end
    return entry
end

local function read_entries(what, given)
    if given == nil then return {} end
    local length = list.length(given)
    if not length then
        return nil, what .. " must be a list of tables, such as { { db = \"pg\" } }"
    end
    local entries = {}
    for i = 1, length do
        local entry, message = read_entry(what, i, given[i])
        if not entry then return nil, message end
        entries[i] = entry
    end
    return entries
end

local function check_exclude(entry, by_key)
    for _, key in ipairs(entry.keys) do
        local axis = by_key[key]
        if not axis then
            return nil, ("%s: unknown key '%s'%s"):format(entry.where, key,
                suggest.hint(key, text.sorted_keys(by_key)))
        end
        local value = entry.texts[key]
        if not axis.known[value] then
            return nil, ("%s: %s is not a value of '%s'%s"):format(
                entry.where, text.name(value), key, suggest.hint(value, axis.texts))
        end
    end
    return true
end

local function multiply(axes)
    local combos = { { texts = {}, values = {} } }
    for _, axis in ipairs(axes) do
        local longer = {}
        for _, combo in ipairs(combos) do
            for i, str in ipairs(axis.texts) do
                local extended = { texts = {}, values = {} }
                for key, value in pairs(combo.texts) do extended.texts[key] = value end
                for key, value in pairs(combo.values) do extended.values[key] = value end
                extended.texts[axis.key], extended.values[axis.key] = str, axis.values[i]
                longer[#longer + 1] = extended
            end
        end
        combos = longer
    end
    return #axes > 0 and combos or {}
end

local function agrees(entry, combo, by_key)
    for _, key in ipairs(entry.keys) do
        if by_key[key] and combo.texts[key] ~= entry.texts[key] then return false end
    end
    return true
end

local function exclude_all(combos, entries, by_key)
    for _, entry in ipairs(entries) do
        local ok, message = check_exclude(entry, by_key)
        if not ok then return nil, message end
        local kept = {}
        for _, combo in ipairs(combos) do
            if not agrees(entry, combo, by_key) then kept[#kept + 1] = combo end
        end
        combos = kept
    end
    return combos
end

local function add_entry(combo, entry)
    for _, key in ipairs(entry.keys) do
        combo.texts[key], combo.values[key] = entry.texts[key], entry.values[key]
    end
end

local function include_all(combos, entries, by_key)
    local originals = #combos
    for _, entry in ipairs(entries) do
        local joined = false
        for i = 1, originals do
            if agrees(entry, combos[i], by_key) then
                add_entry(combos[i], entry)
                joined = true
            end
        end
        if not joined then
            local combo = { texts = {}, values = {} }
            add_entry(combo, entry)
            combos[#combos + 1] = combo
        end
    end
    return combos
end

-- Gives a combination its label "[db=pg,lua=jit]" and its MATRIX_… variables.
local function finish(combo)
    local parts, env = {}, {}
    for i, key in ipairs(text.sorted_keys(combo.texts)) do
        local name, value = "MATRIX_" .. key:upper(), combo.texts[key]
        if env[name] then return nil, ("two keys become %s"):format(name) end
        env[name] = value
        parts[i] = key .. "=" .. value
    end
    combo.label = "[" .. table.concat(parts, ",") .. "]"
    combo.env = env
    return true
end

local function finish_all(combos)
    local seen = {}
    for _, combo in ipairs(combos) do
        local ok, message = finish(combo)
        if not ok then return nil, message end
        if seen[combo.label] then return nil, "two combinations are " .. combo.label end
        seen[combo.label] = true
    end
    return combos
end

local function combine(axes, by_key, given)
    local excludes, message = read_entries("exclude", given.exclude)
    if not excludes then return nil, message end
    local includes
    includes, message = read_entries("include", given.include)
    if not includes then return nil, message end
    local combos
    combos, message = exclude_all(multiply(axes), excludes, by_key)
    if not combos then return nil, message end
    return include_all(combos, includes, by_key)
end

--- The combinations of a matrix in order, or nil and a message. Each has `label` for the job's
-- name, `values` as given, and `env`, a map of MATRIX_… names to text.
function matrix.expand(given)
    if type(given) ~= "table" or getmetatable(given) then
        return nil, "must be a table of lists, such as { db = { \"sqlite\", \"pg\" } }, not "
            .. text.describe(given)
    end
    if next(given) == nil then return nil, "is empty" end
    local axes, by_key = read_axes(given)
    if not axes then return nil, by_key end
    local combos, message = combine(axes, by_key, given)
    if not combos then return nil, message end
    if #combos == 0 then return nil, "no combination is left" end
    if #combos > matrix.MAX_COMBINATIONS then
        return nil, ("%d combinations; the limit is %d"):format(#combos, matrix.MAX_COMBINATIONS)
    end
    return finish_all(combos)
end

return matrix
