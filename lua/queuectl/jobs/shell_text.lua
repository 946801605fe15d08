-- `sh`, the table a jobs file quotes text for the shell with.

local ref = require "queuectl.jobs.ref"
local run = require "queuectl.jobs.run"
local secret = require "queuectl.jobs.secret"
local text = require "queuectl.jobs.text"

local shell_text = {}

--- `sh` for one program; raise(message) raises at the current line.
function shell_text.new(raise)
    local sh = {}
    --- One word for the shell, whatever is in it.
    function sh.quote(value)
        if ref.token(value) then raise(ref.SPLICE) end
        if secret.source(value) then raise(secret.SPLICE) end
        local str, message = run.value_text(value)
        if not str then raise("sh.quote: the value " .. message) end
        return text.shell_quote(str)
    end
    return sh
end

return shell_text
