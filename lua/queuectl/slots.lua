-- How many jobs may run at a time: the option of `worker start` and of `run`.

local slots = {}

--- WORKER_SLOTS_MAX of core/worker.h.
local MAX = 256

--- The number, or nil and a message that names the option.
function slots.parse(option, value)
    local n = value:find("^%d+$") and tonumber(value)
    if n and n >= 1 and n <= MAX then return n end
    return nil, ("%s '%s': must be a whole number from 1 to %d"):format(option, value:sub(1, 40),
        MAX)
end

return slots
