-- Reading and planning jobs files, for the commands that work with them.

local core = require "queuectl.core"
local context = require "queuectl.context"
local jobs = require "queuectl.jobs"
local json = require "queuectl.json"
local quoting = require "queuectl.jobs.text"

-- Kept from before any file could replace it.
local open = io.open

local run_file = {}

local NOT_PERMITTED = 7
local FILE_MAX = 8 * 1024 * 1024

-- message as the system words it: "PATH: why"
local function unreadable(message)
    return nil, message, message:find(": Permission denied", 1, true) and NOT_PERMITTED
        or context.NOT_FOUND
end

local function read_all(path)
    local file, message = open(path, "rb")
    if not file then return unreadable(message) end
    local text = file:read("*a")
    file:close()
    return text
end

local function read_text(path)
    if path == "" then return nil, "the file's name is empty; give a jobs file", context.USAGE end
    local kind, size = core.stat(path)
    if not kind then return unreadable(size) end
    if kind ~= "file" then
        return nil, ("%s: is not a file; give a jobs file"):format(path), context.USAGE
    end
    if size > FILE_MAX then
        return nil, ("%s: larger than 8 MiB; build its jobs in loops"):format(path), context.CONFIG
    end
    return read_all(path)
end

-- The text of a module, or nil: what is no file is no module.
local function find_module(path)
    return core.stat(path) == "file" and read_all(path) or nil
end

-- One file for jobs.plan_files, or nil, message, exit code.
local function read_file(path)
    local text, message, code = read_text(path)
    if not text then return nil, message, code end
    local real
    real, message, code = core.realpath(path)
    if not real then return nil, message, code end
    -- The modules of a file that is reached through a link are not beside the link.
    local folder = real:match("^(.+)/") or "/"
    local shown = path:match("^(.+)/") or path:match("^/") or "."
    return { text = text, path = real, display = path,
        folder = core.realpath(shown) ~= folder and folder or nil }
end

--- The files as jobs.plan_files takes them, or nil, message, exit code. `paths`: one or a list.
function run_file.read(paths)
    local files, by_path = {}, {}
    for i, path in ipairs(type(paths) == "table" and paths or { paths }) do
        local file, message, code = read_file(path)
        if not file then return nil, message, code end
        local earlier = by_path[file.path]
        if earlier then
            return nil, ("%s is given twice%s"):format(path,
                earlier ~= path and (", also as " .. earlier) or ""), context.USAGE
        end
        files[i], by_path[file.path] = file, path
    end
    return files
end

--- What the runs of these files are found by: their real paths, a line each.
function run_file.key(files)
    local paths = {}
    for i, file in ipairs(files) do paths[i] = file.path end
    return table.concat(paths, "\n")
end

--- Values of parameters as they stand on the command line ("NAME=VALUE" each) by their names, or
-- nil, message, exit code.
function run_file.params(words)
    local given = {}
    for _, word in ipairs(words or {}) do
        local name, value = word:match("^([^=]+)=(.*)$")
        if not name then
            return nil, ("-p %s: must be NAME=VALUE"):format(quoting.name(word)), context.USAGE
        end
        if given[name] then
            return nil, ("parameter %s is given twice"):format(quoting.name(name)), context.USAGE
        end
        given[name] = value
    end
    return given
end

--- Options for run_file.plan_read and jobs.plan_files: `opts` and what is the same for all files.
-- Jobs without a cwd get their file's folder, so that it does not matter from where it is run.
function run_file.options(opts)
    local all = { encode = json.encode, cwd = core.cwd(), now = core.time(), folders = true,
        find = find_module }
    for key, value in pairs(opts or {}) do all[key] = value end
    return all
end

--- Plans files that have been read. opts: of run_file.options.
function run_file.plan_read(files, opts)
    local plan, message, code = jobs.plan_files(files, opts)
    if not plan then return nil, message, code or context.CONFIG end
    plan.path, plan.paths = run_file.key(files), {}
    for i, file in ipairs(files) do plan.paths[i] = file.path end
    return plan
end

--- The plan of one path or a list of them (see jobs.plan_files), or nil, message, exit code.
-- opts: `params` given values by name, `for_help`.
function run_file.plan(paths, opts)
    local files, message, code = run_file.read(paths)
    if not files then return nil, message, code end
    return run_file.plan_read(files, run_file.options(opts))
end

return run_file
