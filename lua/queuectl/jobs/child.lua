-- Evaluates the stored text of a jobs file again, in the process of one Lua job, and keeps that
-- job alone. Nothing is checked: the text was planned before.

local chunk = require "queuectl.jobs.chunk"
local globals = require "queuectl.jobs.globals"
local matrix = require "queuectl.jobs.matrix"
local ref = require "queuectl.jobs.ref"

local child = {}

-- The values of the instance `label` ("[db=pg]"), or nil if the matrix has none of that name.
local function matrix_values(given, label)
    for _, combo in ipairs(matrix.expand(given) or {}) do
        if combo.label == label then return combo.values end
    end
end

-- What a job's table says about the wanted name, or nil when it is another job's.
local function pick(wanted, name, given, defaults)
    local axes = given.matrix
    if axes == nil then axes = defaults.matrix end
    local values
    if axes ~= nil then
        values = wanted:sub(1, #name) == name and matrix_values(axes, wanted:sub(#name + 1))
        if not values then return nil end
    elseif name ~= wanted then
        return nil
    end
    return {
        fn = given.run or defaults.run, name = wanted, matrix = values,
        outputs = given.outputs or defaults.outputs or {},
    }
end

-- `job` and `defaults` for the child. What was found is in the table returned second.
local function functions_for(wanted, owner)
    local found, defaults = {}, {}
    local function job(name)
        return function(given)
            if not found.job then found.job = pick(wanted, name, given, defaults) end
            return ref.new({ name = name, owner = owner })
        end
    end
    local function set_defaults(given)
        for key, value in pairs(given) do defaults[key] = value end
    end
    return { job = job, defaults = set_defaults }, found
end

local function new_environment(label, functions)
    return globals.new(functions, {
        undefined = function(name, hint)
            chunk.raise(label, ("undefined variable '%s'%s"):format(name, hint))
        end,
        assigned = function(name)
            chunk.raise(label, ("assignment to global '%s': add 'local'"):format(name))
        end,
    })
end

--- The job `wanted` of the text: { fn =, name =, matrix = values or nil, outputs = names }, or
-- nil and a message. `call(fn)` runs a function protected: true, or nil and a message.
function child.find(source, label, wanted, call)
    local owner = {
        raise = function(message) chunk.raise(label, message) end,
        check_output = function() end,
    }
    local functions, found = functions_for(wanted, owner)
    local fn, message, line = chunk.load(source, label, new_environment(label, functions))
    if not fn then return nil, label .. (line and ":" .. line or "") .. ": " .. message end
    local ok
    ok, message = call(fn)
    if not ok then return nil, message end
    if not found.job then
        return nil, ("%s: job '%s' was not defined this time; a file must define the same jobs "
            .. "whenever it is read"):format(label, wanted)
    end
    if type(found.job.fn) ~= "function" then
        return nil, ("%s: job '%s' has no Lua function this time"):format(label, wanted)
    end
    return found.job
end

return child
