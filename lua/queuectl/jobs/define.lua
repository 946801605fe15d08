-- `job` and `defaults` as a jobs file calls them: each call is checked at once and becomes a
-- definition. What concerns several jobs (needs, names in a matrix) is left to jobs/build.lua.
--
-- A definition: { name =, line =, kind =, values = { key = normalised value, … }, owner = see
-- jobs/ref.lua, broken = true if something in it is wrong, nameless = true if its name is }.

local check = require "queuectl.jobs.check"
local chunk = require "queuectl.jobs.chunk"
local env = require "queuectl.jobs.env"
local ref = require "queuectl.jobs.ref"
local schema = require "queuectl.schema"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local define = {}
define.__index = define

local function by_rank(a, b)
    if a.rank ~= b.rank then return a.rank < b.rank end
    return a.message < b.message
end

-- Collects the faults of one table, so that they come in the order of the schema.
local function add_fault(faults, key, message)
    local row = schema.job[key]
    local prefix = row and key .. ": " or ""
    local list = type(message) == "table" and message or { message }
    for _, one in ipairs(list) do
        faults[#faults + 1] = { rank = row and row.rank or 0, message = prefix .. one }
    end
end

local function unknown_key(key)
    if type(key) == "string" then
        return ("unknown key %s%s"):format(text.name(key), schema.hint(key))
    end
    if key == 1 then return "unexpected value at position 1: write run = ..." end
    return ("unexpected value at position %s"):format(text.describe(key))
end

-- The normalised values of a table of keys; what is wrong goes to `faults`.
local function read_values(given, context, faults)
    local values = {}
    for key, value in next, given do
        local row = schema.job[key]
        if not row then
            add_fault(faults, nil, unknown_key(key))
        else
            local checked, message = check[row.check](value, row, context)
            if checked == nil then add_fault(faults, key, message) else values[key] = checked end
        end
    end
    return values
end

function define:report(line, subject, faults)
    table.sort(faults, by_rank)
    for _, fault in ipairs(faults) do
        self.problems:add(line, ("%s: %s"):format(subject, fault.message))
    end
end

local function job_subject(name)
    return "job " .. text.name(name)
end

local function with_defaults(defaults, values)
    for key, value in pairs(defaults) do
        if values[key] == nil then values[key] = value end
    end
    if values.env and defaults.env and values.env ~= defaults.env then
        values.env = env.merge(defaults.env, values.env)
    end
end

-- The first variable that both the job and its matrix set, or nil.
local function set_twice(values)
    for _, combo in ipairs(values.matrix) do
        for _, name in ipairs(text.sorted_keys(combo.env)) do
            if values.env[name] then return name end
        end
    end
end

local function largest_combo(combos)
    local largest = 0
    for _, combo in ipairs(combos or {}) do
        largest = math.max(largest, env.text_size(combo.env))
    end
    return largest
end

local function check_variables(values, faults)
    local twice = values.env and values.matrix and set_twice(values)
    if twice then add_fault(faults, "env", twice .. " is set by the matrix") end
    local ok, message = check.env_size(env.size(values.env) + largest_combo(values.matrix))
    if not ok then add_fault(faults, "env", message) end
end

function define:finish_job(def, given)
    local faults = {}
    local values = read_values(given, self.context, faults)
    local run_is_wrong = values.run == nil and (given.run ~= nil or given[1] ~= nil)
    with_defaults(self.default_values, values)
    if not values.run and not run_is_wrong then add_fault(faults, nil, "run is missing") end
    if values.env or values.matrix then check_variables(values, faults) end
    def.values, def.kind = values, values.run and values.run.kind
    def.broken = def.broken or #faults > 0
    self:report(def.line, job_subject(def.name), faults)
    self.defs[#self.defs + 1] = def
end

local function wrong_table(given)
    if given == nil then return "was never given its table" end
    return ("needs a table such as { run = \"...\" }, not %s"):format(text.describe(given))
end

-- A job called as a function with what should be its table.
function define:complete(def, given)
    if def.values or def.given then
        self.problems:add(chunk.line(self.label), ("%s is already defined at line %s"):format(
            job_subject(def.name), def.line or "?"))
        return ref.new(def)
    end
    def.given = true
    if type(given) ~= "table" or getmetatable(given) then
        def.broken, def.values = true, {}
        self.problems:add(def.line, job_subject(def.name) .. " " .. wrong_table(given))
        self.defs[#self.defs + 1] = def
    else
        self:finish_job(def, given)
    end
    return ref.new(def)
end

-- Enters the name; a name that is wrong or taken makes a definition nobody can refer to.
function define:enter(def, name)
    local ok, message = check.job_name(name)
    if not ok then
        def.name = type(name) == "string" and name or "?"
        def.broken, def.nameless = true, true
        self.problems:add(def.line, message)
        return
    end
    local earlier = self.by_name[name]
    if earlier then
        def.broken, def.nameless = true, true
        self.problems:add(def.line, ("%s is already defined at line %s"):format(
            job_subject(name), earlier.line or "?"))
        return
    end
    self.by_name[name] = def
end

function define:start_job(name, ...)
    local def = { name = name, line = chunk.line(self.label), owner = self.owner }
    self:enter(def, name)
    if select("#", ...) > 0 then
        self.problems:add(def.line, ("%s: write job \"name\" { ... }, without a comma"):format(
            job_subject(def.name)))
        def.given = true
        return ref.new(def)
    end
    self.started[#self.started + 1] = def
    return function(given) return self:complete(def, given) end
end

function define:set_defaults(given)
    local line = chunk.line(self.label)
    if type(given) ~= "table" or getmetatable(given) then
        self.problems:add(line, "defaults needs a table such as { retries = 2 }, not "
            .. text.describe(given))
        return
    end
    local faults = {}
    local values = read_values(given, self.context, faults)
    self:report(line, "defaults", faults)
    with_defaults(self.default_values, values)
    self.default_values = values
end

--- Once the file has been read: jobs whose name stands there without a table.
function define:check_started()
    for _, def in ipairs(self.started) do
        if not def.given then
            self.problems:add(def.line, job_subject(def.name) .. " was never given its table")
        end
    end
end

local function check_declared(def, key)
    local declared = def.values.outputs
    if not declared or #declared == 0 then
        if def.kind == "lua" then return true end
        return nil, ("declares no outputs; add outputs = { \"%s\" } to it"):format(key)
    end
    for _, name in ipairs(declared) do
        if name == key then return true end
    end
    return nil, ("has no output %s%s"):format(text.name(key), suggest.hint(key, declared))
end

local function check_output(def, key)
    if type(key) ~= "string" or not key:find(ref.NAME_PATTERN) then
        return nil, ("has no output %s: a name has letters, digits and _"):format(
            text.describe(key))
    end
    local combos = def.values.matrix
    if combos then
        return nil, ("is a matrix of %s: its output %s is not one value"):format(
            define.list_instances(def), text.name(key))
    end
    return check_declared(def, key)
end

--- "test[db=pg], test[db=sqlite] and 3 more"
function define.list_instances(def)
    local combos, names = def.values.matrix, {}
    for i = 1, math.min(#combos, 4) do names[i] = def.name .. combos[i].label end
    local listed = table.concat(names, ", ")
    return #combos > 4 and ("%s and %d more"):format(listed, #combos - 4) or listed
end

-- A wrong output is reported where it is written and reading goes on.
function define:check_output(def, key)
    if def.broken or not def.values then return end
    local ok, message = check_output(def, key)
    if not ok then
        self.problems:add(chunk.line(self.label), ("%s %s"):format(job_subject(def.name), message))
    end
end

--- `label` is the chunk name of the file, `context` what the checks get.
function define.new(label, problems, context)
    local self = setmetatable({
        label = label, problems = problems, context = context,
        defs = {}, started = {}, by_name = {}, default_values = {},
    }, define)
    self.owner = {
        raise = function(message) chunk.raise(label, message) end,
        check_output = function(def, key) self:check_output(def, key) end,
    }
    return self
end

--- The functions the file sees.
function define:functions()
    return {
        job = function(...) return self:start_job(...) end,
        defaults = function(...) self:set_defaults(...) end,
    }
end

return define
