-- `require` for the texts of a program: modules beside the file that asks, then those of
-- package.path. They are loaded once, in the strict environment of a jobs file, and their text
-- belongs to the program, so that the process of a Lua job finds what was planned.

local chunk = require "queuectl.jobs.chunk"
local ref = require "queuectl.jobs.ref"
local text = require "queuectl.jobs.text"

-- Kept from before any file could replace them.
local error, pcall, require = error, pcall, require

local modules = {}
modules.__index = modules

--- Lua's own libraries, which no file can shadow.
local STANDARD = {
    bit = true, coroutine = true, debug = true, ffi = true, io = true, jit = true, math = true,
    os = true, package = true, string = true, table = true,
}

local LOADING = {}

local function folder_of(path)
    return path:match("^(.+)/[^/]*$") or path:sub(1, 1) == "/" and "/" or "."
end

local function join(folder, rest)
    if folder == "." then return rest end
    return (folder == "/" and "" or folder) .. "/" .. rest
end

-- Where the module may be: a list of { path =, display =, installed = }.
local function candidates(unit, name)
    local rest, list = name:gsub("%.", "/"), {}
    for _, ending in ipairs { ".lua", "/init.lua" } do
        list[#list + 1] = { path = join(folder_of(unit.path), rest .. ending),
            display = join(unit.folder or folder_of(unit.display), rest .. ending) }
    end
    return list
end

local function installed_candidates(name)
    local rest, list = name:gsub("%.", "/"), {}
    for template in package.path:gmatch("[^;]+") do
        if template:sub(1, 1) == "/" then
            local path = template:gsub("%?", (rest:gsub("%%", "%%%%")))
            list[#list + 1] = { path = path, display = path, installed = true }
        end
    end
    return list
end

-- The text of the first candidate there is, and the candidate.
local function first_there(self, list)
    for _, place in ipairs(list) do
        if self.known[place.path] ~= nil then return true, place end
        local source, display = self.find(place.path)
        if source then
            place.display = display or place.display
            return source, place
        end
    end
end

local function is_built_in(name)
    return package.loaded[name] ~= nil or package.preload[name] ~= nil
end

local function in_c(name)
    return package.searchpath and package.searchpath(name, package.cpath) ~= nil
end

local function not_found(self, unit, name)
    local folders, seen = { text.escape(unit.folder or folder_of(unit.display)) }, {}
    for _, place in ipairs(installed_candidates("?")) do
        local folder = place.path:match("^(.-)/%?")
        if folder and not seen[folder] then
            seen[folder] = true
            folders[#folders + 1] = folder
        end
    end
    local rest = name:gsub("%.", "/")
    self.raise(("module %s not found: no %s.lua or %s/init.lua in %s"):format(text.name(name),
        text.escape(rest), text.escape(rest), table.concat(folders, ", ")))
end

local function cycle_message(self, name)
    local names = {}
    for _, entry in ipairs(self.stack) do
        if #names > 0 or entry.path == name then names[#names + 1] = text.escape(entry.name) end
    end
    names[#names + 1] = names[1]
    return "modules require each other: " .. table.concat(names, " -> ")
end

-- Reads the text and calls it; what it returned (true for nothing) is kept under its path.
local function run(self, name, source, place)
    local unit = self.code:add(place.display, place.path, source)
    unit.installed, unit.module = place.installed, name
    local fn, message, line = chunk.load(source, unit.label, self.environment(unit))
    if not fn and line then error(("%s:%d: %s"):format(unit.label, line, message), 0) end
    if not fn then
        self.raise(("module %s: %s: %s"):format(text.name(name), place.display, message))
    end
    local value = fn(name, place.path)
    return value == nil and true or value
end

local function load_once(self, name, source, place)
    local path = place.path
    if self.known[path] == LOADING then self.raise(cycle_message(self, path)) end
    if self.known[path] ~= nil then return self.known[path] end
    self.known[path] = LOADING
    self.stack[#self.stack + 1] = { name = name, path = path }
    local ok, value = pcall(run, self, name, source, place)
    self.stack[#self.stack] = nil
    if ok then self.known[path] = value else self.known[path] = nil end
    if not ok then error(value, 0) end
    return value
end

local function check_name(self, name)
    if ref.token(name) then self.raise(ref.SPLICE) end
    if type(name) ~= "string" then
        self.raise("require needs the name of a module, not " .. text.describe(name))
    end
    if name == "" or name:find("[%c/]") then
        self.raise(("bad module name %s: write dots for folders, without .lua"):format(
            text.name(name)))
    end
end

--- The value of the module `name`, as `unit` requires it.
function modules:require(unit, name)
    check_name(self, name)
    if STANDARD[name] then return require(name) end
    local source, place = first_there(self, candidates(unit, name))
    if not source and is_built_in(name) then return require(name) end
    if not source then source, place = first_there(self, installed_candidates(name)) end
    if source then return load_once(self, name, source, place) end
    if in_c(name) then return require(name) end
    not_found(self, unit, name)
end

--- code: see jobs/chunk.lua. find(path): the text of the file and, if it is not as usual, how it is
-- displayed; or nil. environment(unit): the
-- globals of a module. raise(message): raises at the current line.
function modules.new(code, find, environment, raise)
    return setmetatable({ code = code, find = find, environment = environment, raise = raise,
        known = {}, stack = {} }, modules)
end

return modules
