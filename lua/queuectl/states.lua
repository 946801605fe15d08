-- The states of a job, as core/job.h has them, in the order in which people are shown them.

local states = {}

states.ALL = { "pending", "processing", "completed", "failed", "dead", "waiting", "held",
    "cancelled", "skipped" }

local FINAL = { completed = true, dead = true, cancelled = true, skipped = true }

--- Nothing more will happen to a job in this state by itself.
function states.is_final(state)
    return FINAL[state] == true
end

return states
