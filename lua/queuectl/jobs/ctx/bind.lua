-- The tables a job sees: `ctx`, `ctx.fs` and the like. Their functions raise at the job's own line,
-- and a name that is not there is an error with the nearest one that is.

local chunk = require "queuectl.jobs.chunk"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local bind = {}

-- fn(state, ...) returns what the job gets, or nil and what is wrong.
local function bound(state, space, name, fn)
    local field = name:match("[^.]+$")
    local function finish(result, message)
        if result == nil and message then
            chunk.raise(state.code, ("%s: %s"):format(name, message))
        end
        return result
    end
    return function(first, ...)
        if first == space and first ~= nil then
            chunk.raise(state.code, ("write %s(...), not %s(...)"):format(
                name, name:gsub("%." .. field .. "$", ":" .. field)))
        end
        return finish(fn(state, first, ...))
    end
end

--- A function of its own, as those of a space.
function bind.call(state, name, fn)
    return bound(state, nil, name, fn)
end

local function raise_unknown(state, name, key, known)
    local shown = tostring(key)
    chunk.raise(state.code, ("%s has no field %s%s"):format(
        name, text.name(shown), suggest.hint(shown, known)))
end

--- Makes `fields` the table `name`: the names in `optional` may be nil, any other one raises.
-- `unknown(key)`, if given, returns the whole message instead.
function bind.strict(state, name, fields, optional, unknown)
    local known = {}
    for key in pairs(fields) do known[#known + 1] = tostring(key) end
    for _, key in ipairs(optional or {}) do known[#known + 1] = key end
    local nil_allowed = {}
    for _, key in ipairs(optional or {}) do nil_allowed[key] = true end
    return setmetatable(fields, {
        __name = name,
        __index = function(_, key)
            if nil_allowed[key] then return nil end
            if unknown then chunk.raise(state.code, unknown(key)) end
            raise_unknown(state, name, key, known)
        end,
        __newindex = function(_, key)
            chunk.raise(state.code, ("%s cannot be changed (its field %s was set)"):format(
                name, text.name(tostring(key))))
        end,
    })
end

--- The table `name` of these functions and values.
function bind.space(state, name, functions, values, optional)
    local space = {}
    for key, value in pairs(values or {}) do space[key] = value end
    for key, fn in pairs(functions) do
        space[key] = bound(state, space, name .. "." .. key, fn)
    end
    return bind.strict(state, name, space, optional)
end

return bind
