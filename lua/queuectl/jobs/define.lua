-- `job`, `defaults`, `param` and `secret` as a jobs file calls them: each call is checked at once
-- and becomes a definition. What concerns several jobs (needs, names in a matrix) is left to
-- jobs/build.lua.
--
-- A definition: { name =, line =, unit = (see jobs/chunk.lua), home = the jobs file's unit, kind =,
-- values = { key = normalised value, … }, owner = see jobs/ref.lua, broken = true if something in
-- it is wrong, nameless = true if its name is }.
--
-- The defaults of a jobs file hold for its jobs, also for those a module makes while the file is
-- read; the defaults of a module come on top, for the jobs that module makes.

local check = require "queuectl.jobs.check"
local chunk = require "queuectl.jobs.chunk"
local env = require "queuectl.jobs.env"
local ref = require "queuectl.jobs.ref"
local run = require "queuectl.jobs.run"
local schema = require "queuectl.schema"
local secret = require "queuectl.jobs.secret"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local define = {}
define.__index = define

local NONE = {}

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

function define:report(at, subject, faults)
    table.sort(faults, by_rank)
    for _, fault in ipairs(faults) do
        self.problems:add(at, ("%s: %s"):format(subject, fault.message))
    end
end

-- The place in the program that is being read now.
function define:here()
    local line, unit = chunk.line(self.code)
    return { line = line, unit = unit }
end

--- "line 3" for a place in the text that `from` stands in, else "other.lua:3".
function define.place_text(at, from)
    if at.unit == from.unit then return "line " .. (at.line or "?") end
    return ("%s:%s"):format(at.unit and at.unit.display or "?", at.line or "?")
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

-- A shell is only for text; one of the defaults does not matter to other jobs.
local function check_shell(given, values, faults)
    if not values.run then return end
    if values.run.kind ~= "shell" then
        if given.shell ~= nil then
            add_fault(faults, "shell", "is only for run as text")
        end
        return
    end
    local size = run.argv_size(values.shell) + #values.run.command + 1
    if size > run.MAX_ARGV then
        add_fault(faults, "run", ("%d bytes with its shell; the limit is %d"):format(
            size, run.MAX_ARGV))
    end
end

function define:finish_job(def, unit, given)
    local faults = {}
    local values = read_values(given, self.context, faults)
    local run_is_wrong = values.run == nil and (given.run ~= nil or given[1] ~= nil)
    with_defaults(self:defaults_for(unit), values)
    if not values.run and not run_is_wrong then add_fault(faults, nil, "run is missing") end
    if values.env or values.matrix then check_variables(values, faults) end
    if values.shell then check_shell(given, values, faults) end
    def.values, def.kind = values, values.run and values.run.kind
    def.broken = def.broken or #faults > 0
    if #faults > 0 then self:report(def, job_subject(def.name), faults) end
    self.defs[#self.defs + 1] = def
end

local function wrong_table(given, example)
    if given == nil then return "was never given its table" end
    return ("needs a table such as %s, not %s"):format(example, text.describe(given))
end

-- A job called as a function with what should be its table.
function define:complete(def, unit, given)
    if def.values or def.given then
        local at = self:here()
        self.problems:add(at, ("%s is already defined at %s"):format(job_subject(def.name),
            define.place_text(def, at)))
        return ref.new(def)
    end
    def.given = true
    if type(given) ~= "table" or getmetatable(given) then
        def.broken, def.values = true, {}
        self.problems:add(def, ("%s %s"):format(job_subject(def.name),
            wrong_table(given, '{ run = "..." }')))
        self.defs[#self.defs + 1] = def
    else
        self:finish_job(def, unit, given)
    end
    return ref.new(def)
end

-- Enters the name; a name that is wrong or taken makes a definition nobody can refer to.
function define:enter(def, name)
    local ok, message = check.job_name(name)
    if not ok then
        def.name = type(name) == "string" and name or "?"
        def.broken, def.nameless = true, true
        self.problems:add(def, message)
        return
    end
    local earlier = self.by_name[name]
    if earlier then
        def.broken, def.nameless = true, true
        self.problems:add(def, ("%s is already defined at %s"):format(
            job_subject(name), define.place_text(earlier, def)))
        return
    end
    self.by_name[name] = def
end

function define:start_job(unit, name, ...)
    local line, where = chunk.line(self.code)
    local def = { name = name, line = line, unit = where, home = self.home, owner = self.owner }
    self:enter(def, name)
    if select("#", ...) > 0 then
        self.problems:add(def, ("%s: write job \"name\" { ... }, without a comma"):format(
            job_subject(def.name)))
        def.given = true
        return ref.new(def)
    end
    self.started[#self.started + 1] = def
    return function(given) return self:complete(def, unit, given) end
end

function define:set_defaults(unit, given)
    local at = self:here()
    if type(given) ~= "table" or getmetatable(given) then
        self.problems:add(at, "defaults needs a table such as { retries = 2 }, not "
            .. text.describe(given))
        return
    end
    local faults = {}
    local values = read_values(given, self.context, faults)
    self:report(at, "defaults", faults)
    with_defaults(self.defaults_of[unit] or {}, values)
    self.defaults_of[unit] = values
    self.together = {}
end

-- What holds for a job that `unit` makes while the file self.home is read.
function define:defaults_for(unit)
    local of_file, own = self.defaults_of[self.home] or NONE, self.defaults_of[unit]
    if unit == self.home or not own then return of_file end
    if not self.together[unit] then
        local values = {}
        for key, value in pairs(own) do values[key] = value end
        with_defaults(of_file, values)
        self.together[unit] = values
    end
    return self.together[unit]
end

--- Begins with the text of the jobs file `unit`; relative paths are relative to `dir`.
function define:begin(unit, dir)
    self.home, self.context.dir, self.together = unit, dir, {}
end

-- ---- parameters and secrets ----

local function param_subject(name)
    return "parameter " .. text.name(name)
end

-- A parameter called as a function with what should be its table.
function define:declare(started, given)
    started.given = true
    local subject = param_subject(started.name)
    if type(given) ~= "table" or getmetatable(given) then
        self.problems:add(started, ("%s %s"):format(subject,
            wrong_table(given, '{ default = "..." }')))
        return nil
    end
    return self.params:declare(started.name, given, started, self.context.dir, function(message)
        self.problems:add(started, ("%s: %s"):format(subject, message))
    end)
end

function define:start_param(name, ...)
    local started = self:here()
    local ok, message = self.params.check_name(name)
    if not ok then chunk.raise(self.code, message) end
    if select("#", ...) > 0 then
        chunk.raise(self.code, ("%s: write param \"name\" { ... }, without a comma"):format(
            param_subject(name)))
    end
    started.name, started.is_param = name, true
    self.started[#self.started + 1] = started
    return function(given) return self:declare(started, given) end
end

function define:new_secret(given)
    local source, message = secret.read(given, function(path)
        return check.resolve(path, self.context.dir)
    end)
    if not source then chunk.raise(self.code, "secret: " .. message) end
    return secret.new(source, self.owner.raise)
end

--- Once the files have been read: jobs and parameters whose name stands there without a table.
function define:check_started()
    for _, def in ipairs(self.started) do
        if not def.given then
            local subject = def.is_param and param_subject(def.name) or job_subject(def.name)
            self.problems:add(def, subject .. " was never given its table")
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
        self.problems:add(self:here(), ("%s %s"):format(job_subject(def.name), message))
    end
end

--- `code` has the texts of the program, `params` is of jobs/params.lua, `context` what the checks
-- get. define:begin comes before each file.
function define.new(code, problems, params, context)
    local self = setmetatable({
        code = code, problems = problems, params = params, context = context,
        defs = {}, started = {}, by_name = {}, defaults_of = {}, together = {},
    }, define)
    self.owner = {
        raise = function(message) chunk.raise(code, message) end,
        check_output = function(def, key) self:check_output(def, key) end,
    }
    return self
end

--- The functions the text `unit` sees.
function define:functions(unit)
    return {
        job = function(...) return self:start_job(unit, ...) end,
        defaults = function(...) self:set_defaults(unit, ...) end,
        param = function(...) return self:start_param(...) end,
        secret = function(...) return self:new_secret(...) end,
    }
end

return define
