-- The jobs of a run, as they stand in the store.

local jobs = {}

--- Calls visit(job) for each job of the run, added ones as well. true, or nil, message, exit code.
function jobs.each(store, run_id, visit)
    local query = { run = run_id, limit = 1000 }
    repeat
        local page, next_page, code = store:list(query)
        if not page then return nil, next_page, code end
        for _, job in ipairs(page) do visit(job) end
        query.after = next_page
    until not next_page
    return true
end

return jobs
