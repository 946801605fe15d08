-- Values for a file's parameters, as the command line gives them: --params FILE.json, and
-- -p name=value, which goes first.

local cjson = require "cjson"
local context = require "queuectl.context"
local json = require "queuectl.json"
local run_file = require "queuectl.run_file"

local params = {}

local function read_json(path)
    local file, message = io.open(path, "rb")
    if not file then
        return nil, ("--params: %s"):format(message),
            message:find("Permission denied", 1, true) and context.PERMISSION or context.NOT_FOUND
    end
    local bytes = file:read("*a")
    file:close()
    if not bytes then
        return nil, ("--params: %s cannot be read; give a JSON file"):format(path), context.USAGE
    end
    local values, problem = json.decode(bytes)
    if type(values) ~= "table" or values[1] ~= nil then
        return nil, ("--params: %s: %s; write an object such as { \"name\": \"value\" }"):format(
            path, problem or "not a JSON object"), context.USAGE
    end
    for name, value in pairs(values) do
        if value == cjson.null then values[name] = nil end
    end
    return values
end

--- file: path of a JSON object or nil; words: a list of "name=value" or nil.
-- Returns values by name, or nil, message, exit code.
function params.read(file, words)
    local given, message, code = run_file.params(words)
    if not given or not file then return given, message, code end
    local values
    values, message, code = read_json(file)
    if not values then return nil, message, code end
    for name, value in pairs(given) do values[name] = value end
    return values
end

return params
