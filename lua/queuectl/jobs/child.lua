-- Evaluates the program document of a run again, in the process of Lua jobs, and keeps the
-- functions of the jobs by their names. Nothing is checked: the texts were planned before.

local chunk = require "queuectl.jobs.chunk"
local globals = require "queuectl.jobs.globals"
local matrix = require "queuectl.jobs.matrix"
local modules = require "queuectl.jobs.modules"
local program_text = require "queuectl.jobs.program"
local ref = require "queuectl.jobs.ref"
local secret = require "queuectl.jobs.secret"
local shell_text = require "queuectl.jobs.shell_text"

local child = {}

local program = {}
program.__index = program

local NONE = {}

-- What a key of a job is: its own, else the default of its module, else that of the file.
local function value_of(key, given, own, of_file)
    local value = given[key]
    if value == nil then value = own[key] end
    if value == nil then value = of_file[key] end
    return value
end

local function keep(self, unit, name, given)
    local own, of_file = self.defaults[unit] or NONE, self.defaults[self.home] or NONE
    local fn, when = value_of("run", given, own, of_file), value_of("when", given, own, of_file)
    local outputs = value_of("outputs", given, own, of_file)
    local axes = value_of("matrix", given, own, of_file)
    local entry = type(fn) == "function" and fn or nil
    -- Most are a function alone. What is kept here is copied by each fork, so it is kept small.
    if when or outputs or not entry then entry = { fn = entry, when = when, outputs = outputs } end
    if axes ~= nil then
        self.matrices[#self.matrices + 1] = { name = name, entry = entry, axes = axes }
    elseif self.jobs[name] == nil then
        self.jobs[name] = entry
    end
end

local function fields_of(entry)
    return type(entry) == "function" and { fn = entry } or entry
end

-- `job`, `defaults`, `param` … as the text `unit` sees them.
local function functions_for(self, unit)
    local function job(name)
        return function(given)
            keep(self, unit, name, given)
            return ref.new({ name = name, owner = self.owner })
        end
    end
    local function set_defaults(given)
        local values = self.defaults[unit] or {}
        for key, value in pairs(given) do values[key] = value end
        self.defaults[unit] = values
    end
    local function param(name)
        return function()
            local value = self.params[name]
            return type(value) == "table" and { unpack(value) } or value
        end
    end
    return {
        job = job, defaults = set_defaults, param = param, sh = shell_text.new(self.owner.raise),
        secret = function(source) return secret.new(source, self.owner.raise) end,
        require = function(name) return self.modules:require(unit, name) end,
    }
end

local function new_environment(self, unit)
    local raise = self.owner.raise
    return globals.new(functions_for(self, unit), {
        lenient = unit.installed,
        undefined = function(name, hint)
            raise(("undefined variable '%s'%s"):format(name, hint))
        end,
        assigned = function(name)
            raise(("assignment to global '%s': add 'local'"):format(name))
        end,
    })
end

local function evaluate(self, file, call)
    local unit = self.code:add(file.display, file.path, file.text)
    self.home = unit
    local fn, message, line = chunk.load(file.text, unit.label, new_environment(self, unit))
    if not fn then
        return nil, unit.label .. (line and ":" .. line or "") .. ": " .. message
    end
    return call(fn)
end

-- Once, before processes are forked that each look for one job.
local function expand_matrices(self)
    for _, one in ipairs(self.matrices) do
        local entry = fields_of(one.entry)
        for _, combo in ipairs(matrix.expand(one.axes) or {}) do
            local name = one.name .. combo.label
            self.jobs[name] = self.jobs[name] or { fn = entry.fn, when = entry.when,
                outputs = entry.outputs, matrix = combo.values }
        end
    end
end

local function new_modules(self, texts)
    local by_path = {}
    for _, module in ipairs(texts) do by_path[module.path] = module end
    local function find(path)
        local module = by_path[path]
        if module then return module.text, module.display end
    end
    return modules.new(self.code, find, function(unit)
        return new_environment(self, unit)
    end, self.owner.raise)
end

--- Evaluates all texts of the document once. `path` is the jobs file's, for a text that is no
-- document. `call(fn)` runs a function protected: true, or nil and a message. `code` (optional,
-- see jobs/chunk.lua) takes the texts, so that the caller's own messages know their places.
-- Returns a program: `params` values by name, `code`, find(name), or nil and a message.
function child.load(document, path, call, code)
    local texts, message = program_text.read(document, path)
    if not texts then return nil, message end
    local self = setmetatable({ params = texts.params, code = code or chunk.code(), jobs = {},
        matrices = {}, defaults = {}, display = texts.files[1].display }, program)
    self.owner = {
        raise = function(reason) chunk.raise(self.code, reason) end,
        check_output = function() end,
    }
    self.modules = new_modules(self, texts.modules)
    for _, file in ipairs(texts.files) do
        local ok
        ok, message = evaluate(self, file, call)
        if not ok then return nil, message end
    end
    expand_matrices(self)
    return self
end

--- The job of that name, instances of a matrix included: { name =, fn =, when =, matrix = values
-- or nil, outputs = names }, or nil and a message. `fn` and `when` are functions; one of them may
-- be nil.
function program:find(name)
    local entry = fields_of(self.jobs[name])
    if not entry then
        return nil, ("%s: job '%s' was not defined this time; a file must define the same jobs "
            .. "whenever it is read"):format(self.display, name)
    end
    if not entry.fn and not entry.when then
        return nil, ("%s: job '%s' has no Lua function this time"):format(self.display, name)
    end
    return { name = name, fn = entry.fn, when = entry.when, matrix = entry.matrix,
        outputs = entry.outputs or {} }
end

return child
