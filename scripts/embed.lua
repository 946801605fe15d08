-- Writes the C file that holds Lua modules as bytecode (see core/embedded.h).
-- luajit scripts/embed.lua OUT.c /path/argparse.lua lua/queuectl/cli.lua ...
-- Run from the project root: paths become chunk names, so that errors show the project's own lines.

local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local text = assert(file:read("*a"))
    file:close()
    return text
end

-- "lua/queuectl/cmd/run.lua" -> "queuectl.cmd.run"; a library outside lua/ is named by its file.
local function module_of(path)
    local inside = path:match("^lua/(.+)%.lua$")
    if inside then
        return inside:gsub("/", "."), path
    end
    local file = path:match("[^/]+$")
    return file:gsub("%.lua$", ""), file
end

local function compile(path)
    local name, chunk = module_of(path)
    local fn, message = loadstring(read_file(path), "@" .. chunk)
    if not fn then
        io.stderr:write(message, "\n")
        os.exit(1)
    end
    return { name = name, code = string.dump(fn) }
end

local escape = {}
for byte = 0, 255 do
    escape[string.char(byte)] = string.format("\\%03o", byte)
end

-- String literals compile many times faster than lists of numbers.
local function c_string(code)
    local lines = {}
    for at = 1, #code, 20 do
        lines[#lines + 1] = '    "' .. code:sub(at, at + 19):gsub(".", escape) .. '"'
    end
    return table.concat(lines, "\n")
end

local modules = {}
for i = 2, #arg do
    modules[#modules + 1] = compile(arg[i])
end
table.sort(modules, function(a, b) return a.name < b.name end)

local out = { "/* Made by scripts/embed.lua. */", '#include "embedded.h"', "" }
for i, module in ipairs(modules) do
    local code = c_string(module.code)
    out[#out + 1] = ("static const unsigned char code_%d[] =\n%s;\n"):format(i, code)
end
out[#out + 1] = "const struct embedded_module embedded_modules[] = {"
for i, module in ipairs(modules) do
    out[#out + 1] = ('    {"%s", code_%d, %d},'):format(module.name, i, #module.code)
end
out[#out + 1] = "};"
out[#out + 1] = ("const size_t embedded_module_count = %d;"):format(#modules)

local file = assert(io.open(arg[1], "wb"))
assert(file:write(table.concat(out, "\n"), "\n"))
assert(file:close())
