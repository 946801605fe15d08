-- One change to each of several jobs: done for as many as possible, each told, the worst exit code
-- at the end (partly done: 5).

local context = require "queuectl.context"
local json = require "queuectl.json"

local bulk = {}

--- change(store, id) -> result | nil, message, code; say(id, result) -> sentence
function bulk.each(ctx, ids, change, say)
    local store, message, code = ctx:store()
    if not store then return nil, message, code end
    local done, first_message, first_code = 0, nil, nil
    for _, id in ipairs(ids) do
        local result
        result, message, code = change(store, id)
        if result then
            done = done + 1
            ctx:print(ctx.json
                and json.encode(json.object { { "id", id }, { "was", result } }) .. "\n"
                or say(id, result) .. "\n")
        else
            if first_message then ctx:note("queuectl: " .. first_message) end
            first_message, first_code = message, code
        end
    end
    if first_message then
        return nil, first_message, done > 0 and context.PARTLY or first_code
    end
    return true
end

return bulk
