-- Files and temporary directories for specs.

local lfs = require "lfs"
local sys = require "support.sys"

local files = {}
local made = {} -- temporary directories of this spec file: { path, spec }
local spec -- the running one; nil in setup and before_each

function files.read_file(path)
    local file, err = io.open(path, "rb")
    if not file then error(err, 2) end
    local text = file:read("*a")
    file:close()
    return text
end

function files.write_file(path, text)
    local file, err = io.open(path, "wb")
    if not file then error(err, 2) end
    file:write(text)
    file:close()
    return path
end

function files.exists(path)
    return lfs.symlinkattributes(path, "mode") ~= nil
end

function files.mkdir_p(path)
    if lfs.attributes(path, "mode") == "directory" then return path end
    local parent = path:match("^(.+)/[^/]+$")
    if parent then files.mkdir_p(parent) end
    local ok, err = lfs.mkdir(path)
    if not ok and lfs.attributes(path, "mode") ~= "directory" then error(path .. ": " .. err, 2) end
    return path
end

function files.remove_tree(path)
    if lfs.symlinkattributes(path, "mode") == "directory" then
        for name in lfs.dir(path) do
            if name ~= "." and name ~= ".." then files.remove_tree(path .. "/" .. name) end
        end
    end
    os.remove(path)
end

-- A fresh directory; gone at the end of the spec file, unless its spec failed or KEEP=1.
function files.tmpdir()
    local base = os.getenv("TMPDIR") or files.build .. "/tmp"
    local dir = sys.mkdtemp(sys.realpath(files.mkdir_p(base)) .. "/spec-XXXXXX")
    made[#made + 1] = { path = dir, spec = spec }
    return dir
end

function files.spec_start(element) spec = element end
function files.spec_end() spec = nil end

-- Removes the temporary directories unless keep(spec) is true; returns the paths of those kept.
function files.clean(keep)
    local kept = {}
    for _, dir in ipairs(made) do
        if keep(dir.spec) then
            kept[#kept + 1] = dir.path
        else
            files.remove_tree(dir.path)
        end
    end
    made = {}
    return kept
end

return files
