-- A module for the examples beside it: a folder to write into, and the job that makes it.
--
--   local folder, prepare = require "lib.scratch" ("release")
--
-- `require` looks beside the file that asks. The text of a module is kept with the run, as that of
-- the jobs file is, and `job` means the same in it.

-- A folder with a known name below /tmp could be somebody else's: then nothing is written.
local PREPARE = [[
    mkdir -p -m 700 "$FOLDER"
    [ -O "$FOLDER" ] && [ ! -L "$FOLDER" ] || { echo "$FOLDER is not ours" >&2; exit 1; }
    cd "$FOLDER"
    rm -rf -- "$@"
]]

-- The folder's path and the job "prepare", which needs nothing and is tried once. `old`: what is
-- left of an earlier run and has to go.
return function(name, old)
    local folder = (os.getenv "TMPDIR" or "/tmp") .. "/queuectl-" .. name
    local prepare = job "prepare" {
        desc = "makes " .. folder,
        run = { "sh", "-euc", PREPARE, "prepare", unpack(old or {}) },
        env = { FOLDER = folder },
        retries = 0,
    }
    return folder, prepare
end
