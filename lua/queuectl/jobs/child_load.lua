-- A program as lua_job wants it, from a bare jobs file: the file is evaluated when a job of it is
-- looked for.

local child = require "queuectl.jobs.child"
local chunk = require "queuectl.jobs.chunk"

--- { find(self, name) -> job | nil, message; params = map }
return function(document, path, call)
    return {
        params = {},
        find = function(_, name) return child.find(document, chunk.label(path), name, call) end,
    }
end
