-- The program document: what a run executes later, frozen as one text. It holds the texts of the
-- jobs files and of every module they loaded, and the values of the parameters.

local text = require "queuectl.jobs.text"

local cjson = require("cjson").new()
cjson.decode_max_depth(8)

local program = {}

local START = '{"queuectl":'

--- What `differs` answers about parameters.
program.PARAMETERS = "the parameters"

-- cjson would round numbers, and knows no order of keys.
local function encode(value)
    if type(value) == "number" then return text.number(value) end
    if type(value) ~= "table" then return cjson.encode(value) end
    local parts = {}
    for i, entry in ipairs(value) do parts[i] = encode(entry) end
    return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_text(unit, with_name)
    local name = with_name and ('"name":%s,'):format(encode(unit.module)) or ""
    return ('{%s"display":%s,"path":%s,"text":'):format(name, encode(unit.display),
        encode(unit.path)) .. encode(unit.text) .. "}"
end

local function encode_texts(units, with_name)
    local parts = {}
    for i, unit in ipairs(units) do parts[i] = encode_text(unit, with_name) end
    return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_params(values)
    local parts = {}
    for i, name in ipairs(text.sorted_keys(values)) do
        parts[i] = encode(name) .. ":" .. encode(values[name])
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

--- The document of { files =, modules = (lists of units), params = values by name }.
function program.write(parts)
    return START .. '1,"files":' .. encode_texts(parts.files) .. ',"modules":'
        .. encode_texts(parts.modules, true) .. ',"params":' .. encode_params(parts.params) .. "}"
end

--- { files =, modules =, params = } of a document, or nil and a message. A text that is none is
-- the jobs file `path` alone, as older stores have it.
function program.read(document, path)
    if document:sub(1, #START) ~= START then
        return { files = { { display = path, path = path, text = document } }, modules = {},
            params = {} }
    end
    local ok, read = pcall(cjson.decode, document)
    if not ok or type(read.files) ~= "table" or type(read.modules) ~= "table"
        or type(read.params) ~= "table" then
        return nil, "the stored program cannot be read"
    end
    if read.queuectl ~= 1 then
        return nil, ("the stored program has version %s; this queuectl reads version 1"):format(
            text.describe(read.queuectl))
    end
    return read
end

local function text_by_path(texts)
    local map = {}
    for _, entry in ipairs(texts) do map[entry.path] = entry end
    return map
end

local function changed_text(a, b)
    local before, after = text_by_path(a), text_by_path(b)
    for _, entry in ipairs(a) do
        local other = after[entry.path]
        if not other or other.text ~= entry.text then return entry.display end
    end
    for _, entry in ipairs(b) do
        if not before[entry.path] then return entry.display end
    end
end

--- nil when two documents are the same program; else what differs, for a message: the first file
-- or module whose text is not the same (as the document that has it displays it), or
-- program.PARAMETERS. `path` is the jobs file's, for texts that are no documents.
function program.differs(a, b, path)
    if a == b then return nil end
    local before, after = program.read(a, path), program.read(b, path)
    if not before or not after then return path end
    local what = changed_text(before.files, after.files)
        or changed_text(before.modules, after.modules)
    if what then return what end
    if encode_params(before.params) ~= encode_params(after.params) then
        return program.PARAMETERS
    end
end

return program
