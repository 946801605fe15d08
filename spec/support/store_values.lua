-- The C core for specs, and what its values are in plain Lua.

local ffi = require "ffi"
local t = require "support"
local cdefs = require "support.store_cdefs"

ffi.cdef(cdefs.text)
ffi.cdef(cdefs.functions)

local core = t.core()
local C = ffi.C
local values = { core = core, cdefs = cdefs }

local function names_of(array, n)
    local names = {}
    for i = 0, n - 1 do
        local name = ffi.string(array[i])
        names[i], names[name] = name, i
    end
    return names
end

-- Number to name and name to number.
values.states = names_of(core.job_state_names, C.JOB_STATES)
values.causes = names_of(core.job_cause_names, C.CAUSES)
values.kinds = names_of(core.job_kind_names, C.JOB_KINDS)
values.ons = names_of(core.job_on_names, C.JOB_ONS)

function values.wall_ms() return tonumber(core.clock_wall_ms()) end

-- What one value of a structure is.
local function plain(value)
    if type(value) ~= "cdata" then return value end
    if ffi.istype("struct buf", value) then
        return value.data ~= nil and ffi.string(value.data, value.len) or nil
    elseif ffi.istype("char *", value) then
        return value ~= nil and ffi.string(value) or nil
    end
    return tonumber(value)
end

local NAMED = { state = values.states, cause = values.causes, kind = values.kinds }

-- A table of the named fields; enums as words, absent strings as nil.
function values.record(c, fields)
    local out = {}
    for _, name in ipairs(fields) do
        local value = plain(c[name])
        out[name] = NAMED[name] and NAMED[name][value] or value
    end
    return out
end
values.plain = plain

function values.bytes(text) return { data = text, len = text and #text or 0 } end

return values
