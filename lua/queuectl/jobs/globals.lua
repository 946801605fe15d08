-- The global variables a jobs file sees: Lua's own, `job`, `defaults` and what belongs to them, and
-- nothing else.
-- Reading an unknown name and assigning to any global are errors of the file.

local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local globals = {}

local NAMES = {
    "_VERSION", "assert", "bit", "collectgarbage", "coroutine", "debug", "dofile", "error",
    "getfenv", "getmetatable", "io", "ipairs", "jit", "load", "loadfile", "loadstring", "math",
    "newproxy", "next", "os", "package", "pairs", "pcall", "print", "rawequal", "rawget",
    "rawset", "require", "select", "setfenv", "setmetatable", "string", "table", "tonumber",
    "tostring", "type", "unpack", "xpcall",
}

local LIBRARIES = {
    "bit", "coroutine", "debug", "io", "jit", "math", "os", "package", "string", "table",
}

--- An environment with Lua's globals and those of `extra`. `on.undefined(name, hint)` is called
-- for a name nobody knows and must raise; `on.assigned(name)` for an assignment to a global,
-- which takes effect if it returns. Installed modules were written for Lua as it is: with
-- `on.lenient` an unknown name is nil, and an assignment stays in the environment.
function globals.new(extra, on)
    local known = {}
    for _, name in ipairs(NAMES) do known[name] = _G[name] end
    for name, value in pairs(extra) do known[name] = value end
    local function undefined(_, name)
        if on.lenient then return nil end
        on.undefined(tostring(name), suggest.hint(tostring(name), text.sorted_keys(known)))
    end
    local function assign(env, name, value)
        if not on.lenient then on.assigned(tostring(name)) end
        rawset(env, name, value)
    end
    -- The environment itself stays empty, so that assigning to `job` or `print` is seen too.
    local env = setmetatable({}, {
        __index = setmetatable(known, { __index = undefined, __metatable = false }),
        __newindex = assign,
        __metatable = false,
    })
    known._G = env
    return env
end

local function copy(map)
    local result = {}
    for key, value in next, map do result[key] = value end
    return result
end

local function library_tables()
    local list = { getmetatable("") }
    for _, name in ipairs(LIBRARIES) do list[#list + 1] = _G[name] end
    return list
end

--- Remembers Lua's libraries; the function it returns puts them back as they were.
-- A file may add string.split for itself; queuectl's own code must not meet it.
function globals.save_libraries()
    local tables, saved = library_tables(), {}
    for i, library in ipairs(tables) do saved[i] = copy(library) end
    local clear, set = rawset, rawset
    return function()
        for i, library in ipairs(tables) do
            for key in next, copy(library) do clear(library, key, nil) end
            for key, value in next, saved[i] do set(library, key, value) end
        end
    end
end

return globals
