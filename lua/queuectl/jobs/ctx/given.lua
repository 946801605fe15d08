-- What a job is given: the values of the run's parameters, and what came of the jobs it needs.

local bind = require "queuectl.jobs.ctx.bind"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local given = {}

local function listed(names)
    local shown = {}
    for i = 1, math.min(#names, 5) do shown[i] = text.name(names[i]) end
    if #names > 5 then shown[6] = ("and %d more"):format(#names - 5) end
    return table.concat(shown, ", ")
end

local function copy(map)
    local result = {}
    for key, value in pairs(map or {}) do result[key] = value end
    return result
end

--- ctx.params
function given.params(state, values)
    local names = text.sorted_keys(values or {})
    return bind.strict(state, "ctx.params", copy(values), nil, function(key)
        local shown = tostring(key)
        local hint = suggest.hint(shown, names)
        if #names == 0 then hint = "; the file has none" end
        return ("there is no parameter %s%s"):format(text.name(shown), hint)
    end)
end

local function outputs_of(state, need)
    local names = text.sorted_keys(need.outputs)
    return bind.strict(state, "the outputs of " .. text.name(need.name), copy(need.outputs), nil,
        function(key)
            local shown = tostring(key)
            local hint = suggest.hint(shown, names)
            if hint == "" then
                hint = #names > 0 and "; it gave " .. listed(names) or "; it gave none"
            end
            local how = need.state ~= "completed" and ("ended %s and "):format(need.state) or ""
            return ("job %s %sgave no output %s%s"):format(text.name(need.name), how,
                text.name(shown), hint)
        end)
end

-- A table by the names of the jobs needed.
local function by_need(state, name, needs, value_of)
    local fields, names = {}, {}
    for i, need in ipairs(needs) do
        fields[need.name], names[i] = value_of(need), need.name
    end
    return bind.strict(state, name, fields, nil, function(key)
        local shown = tostring(key)
        local hint = suggest.hint(shown, names)
        if hint == "" then
            hint = #names > 0 and "; it needs " .. listed(names) or "; it needs no job"
        end
        return ("%s: this job does not need %s%s"):format(name, text.name(shown), hint)
    end)
end

--- ctx.outputs and ctx.needs from a list of { name =, state =, error =, outputs = map }.
function given.needs(state, needs)
    local outputs = {}
    for _, need in ipairs(needs) do outputs[need.name] = outputs_of(state, need) end
    return by_need(state, "ctx.outputs", needs, function(need) return outputs[need.name] end),
        by_need(state, "ctx.needs", needs, function(need)
            return bind.strict(state, "ctx.needs." .. need.name, {
                state = need.state, error = need.error, outputs = outputs[need.name],
            }, { "error" })
        end)
end

return given
