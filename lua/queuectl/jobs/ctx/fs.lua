-- ctx.fs: what a build script does with files. Paths are relative to the job's folder; failures
-- raise with the path and the reason.

local options = require "queuectl.jobs.ctx.options"
local text = require "queuectl.jobs.text"

local fs = {}

-- A path without slashes at its end, or nil and what is wrong.
local function read_path(given, what)
    if given == nil then return nil, (what or "the path") .. " is missing" end
    local path, message = options.path(given)
    if not path then return nil, (what or "the path") .. " " .. message end
    return path:gsub("(.)/+$", "%1"), nil
end

local function failure(path, reason)
    return nil, ("%s: %s"):format(text.escape(text.shorten(path, 300)), reason)
end

-- A function of one path; `act(host, path, state)` returns a result, or nil and the reason.
local function on_path(act)
    return function(state, given)
        local path, message = read_path(given)
        if not path then return nil, message end
        local result, reason = act(state.host.fs, path, state)
        if result == nil and reason then return failure(path, reason) end
        return result
    end
end

-- For functions that return nothing: their success is no value.
local function quiet(ok, reason)
    if not ok then return nil, reason end
end

-- Questions ------------------------------------------------------------------------------------

-- The kind, size and time of what is there; nil when nothing is, nil and the reason when that
-- cannot be told.
local function look(host, path, follow)
    local kind, size, mtime = host.stat(path, follow)
    if kind then return kind, size, mtime end
    if not mtime then return nil, size end
end

local function exists(host, path)
    local kind, reason = look(host, path, true)
    if not kind and reason then return nil, reason end
    return kind ~= nil
end

local function is_dir(host, path)
    local kind, reason = look(host, path, true)
    if not kind and reason then return nil, reason end
    return kind == "dir"
end

--- { kind = "file" | "dir" | "other", size =, mtime = }, or nil when nothing is there.
local function stat(host, path)
    local kind, size, mtime = look(host, path, true)
    if not kind then return nil, size end
    return { kind = kind, size = size, mtime = mtime }
end

local function list(host, path)
    local names, reason = host.list(path)
    if not names then return nil, reason end
    table.sort(names)
    return names
end

local function glob(host, pattern)
    return host.glob(pattern)
end

-- Contents -------------------------------------------------------------------------------------

local function read(host, path)
    -- A folder can be opened, but not read.
    if is_dir(host, path) then return nil, "Is a directory" end
    local file, message = io.open(path, "rb")
    if not file then return nil, (message:gsub("^.*: ", "")) end
    local content, problem = file:read("*a")
    file:close()
    return content, problem
end

local function write(state, given, content)
    local path, message = read_path(given)
    if not path then return nil, message end
    local bytes, problem = text.scalar(content)
    if not bytes then
        return nil, ("what to write to %s %s"):format(text.escape(text.shorten(path, 300)), problem)
    end
    local ok, reason = state.host.fs.write(path, bytes)
    if not ok then return failure(path, reason) end
end

local function mkdir(host, path)
    return quiet(host.mkdir(path))
end

-- Removing -------------------------------------------------------------------------------------

local function holds(outer, inner)
    return outer == "/" or outer == inner or inner:sub(1, #outer + 1) == outer .. "/"
end

-- Folders that no job means to remove: those it stands in, and the user's home.
local function check_removal(state, path)
    local real = state.host.fs.realpath(path)
    if not real then return true end
    local cwd = state.host.cwd()
    if not cwd or holds(real, cwd) then
        return nil, real == cwd and "is the folder the job runs in"
            or "holds the folder the job runs in"
    end
    local home = os.getenv("HOME")
    if home and home ~= "" and holds(real, state.host.fs.realpath(home) or home) then
        return nil, "holds the home folder"
    end
    return true
end

-- Whether something was there.
local function remove(host, path, state)
    local kind, reason = look(host, path, false)
    if not kind then
        if reason then return nil, reason end
        return false
    end
    local ok, message
    if kind == "dir" then
        ok, message = check_removal(state, path)
        if not ok then return nil, "not removed: it " .. message end
    end
    ok, message = host.remove(path)
    if not ok then return nil, message end
    return true
end

-- Copying --------------------------------------------------------------------------------------

local copy_any

local function copy_dir(host, from, to)
    local names, reason = host.list(from)
    if not names then return failure(from, reason) end
    local ok
    ok, reason = host.mkdir(to)
    if not ok then return failure(to, reason) end
    table.sort(names)
    for _, name in ipairs(names) do
        local copied, message = copy_any(host, from .. "/" .. name, to .. "/" .. name)
        if not copied then return nil, message end
    end
    return true
end

local function copy_link(host, from, to)
    if look(host, to, false) then
        local ok, reason = host.remove(to)
        if not ok then return failure(to, reason) end
    end
    local ok, reason = host.copy_link(from, to)
    if not ok then return failure(to, reason) end
    return true
end

local function copy_file(host, from, to)
    local ok, reason, missing = host.copy_file(from, to)
    if ok then return true end
    -- The file is there: what is missing is the folder it should go to.
    return failure(missing and to or from .. " to " .. to, reason)
end

function copy_any(host, from, to)
    local kind, reason = look(host, from, false)
    if not kind then return failure(from, reason or "No such file or directory") end
    local there = look(host, to, true)
    if kind == "dir" and there and there ~= "dir" then return failure(to, "Not a directory") end
    if kind ~= "dir" and there == "dir" then
        return failure(to, "is a folder; give the name in it as well")
    end
    if kind == "dir" then return copy_dir(host, from, to) end
    if kind == "link" then return copy_link(host, from, to) end
    if kind == "other" then return failure(from, "neither file nor folder") end
    return copy_file(host, from, to)
end

-- The real path of what may not be there yet: its folder's, and its name.
local function real_target(host, path)
    local real = host.realpath(path)
    if real then return real end
    local dir, name = path:match("^(.*)/([^/]+)$")
    local parent = host.realpath(dir == "" and "/" or dir or ".")
    return parent and (parent == "/" and "" or parent) .. "/" .. (name or path)
end

-- Both paths, or nil and what is wrong.
local function read_pair(host, given_from, given_to)
    local from, message = read_path(given_from, "the first path")
    if not from then return nil, nil, message end
    local to
    to, message = read_path(given_to, "the second path")
    if not to then return nil, nil, message end
    local real, target = host.realpath(from), real_target(host, to)
    if real and target and look(host, from, false) ~= "link" and holds(real, target) then
        return nil, nil, select(2, failure(to, real == target and "is the same as " .. from
            or "is inside of " .. from))
    end
    return from, to
end

local function copy(state, given_from, given_to)
    local host = state.host.fs
    local from, to, message = read_pair(host, given_from, given_to)
    if not from then return nil, message end
    return quiet(copy_any(host, from, to))
end

local function move(state, given_from, given_to)
    local host = state.host.fs
    local from, to, message = read_pair(host, given_from, given_to)
    if not from then return nil, message end
    if look(host, from, false) ~= "dir" and look(host, to, true) == "dir" then
        return failure(to, "is a folder; give the name in it as well")
    end
    local ok, reason, missing = host.rename(from, to)
    if not ok then
        return failure(missing and look(host, from, false) and to or from, reason)
    end
    if ok ~= "elsewhere" then return end
    ok, message = copy_any(host, from, to)
    if not ok then return nil, message end
    ok, reason = host.remove(from)
    if not ok then return failure(from, reason) end
end

-- Temporary folders ----------------------------------------------------------------------------

local function temp_dir(state)
    local parent = os.getenv("TMPDIR")
    if not parent or parent == "" then parent = "/tmp" end
    local path, reason = state.host.fs.make_temp_dir(parent)
    if not path then return failure(parent, reason) end
    table.insert(state.temp_dirs, path)
    return path
end

--- At the end of the job.
function fs.clean_up(state)
    for _, path in ipairs(state.temp_dirs) do state.host.fs.remove(path) end
    state.temp_dirs = {}
end

fs.functions = {
    copy = copy, exists = on_path(exists), glob = on_path(glob), is_dir = on_path(is_dir),
    list = on_path(list), mkdir = on_path(mkdir), move = move, read = on_path(read),
    remove = on_path(remove), stat = on_path(stat), temp_dir = temp_dir, write = write,
}

return fs
