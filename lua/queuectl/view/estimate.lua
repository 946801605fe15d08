-- What a plan will take, by the times of an earlier run: the critical path and the whole on some
-- slots. Everything that shows a plan says it with the same words.

local critical = require "queuectl.critical"
local format = require "queuectl.view.format"
local text = require "queuectl.view.text"

local estimate = {}

local CHAIN = 8

--- times: name -> seconds, may be nil. nil where too little is known; else { seconds = list,
-- unknown =, path = { index, … }, on_path = set, length =, wall =, slots = }.
function estimate.of(jobs, times, slots)
    if not times then return nil end
    local _, order = critical.steps(jobs)
    local seconds, unknown = critical.seconds(jobs, times, order)
    if not seconds then return nil end
    local length, path = critical.path(jobs, seconds, order)
    local on_path = {}
    for _, i in ipairs(path) do on_path[i] = true end
    return { seconds = seconds, unknown = unknown, path = path, on_path = on_path,
        length = length, slots = slots,
        wall = slots and (critical.schedule(jobs, seconds, slots)) or nil }
end

--- Names with " > " between them; of a long chain the beginning and the end.
function estimate.chain(names)
    if #names <= CHAIN then return table.concat(names, " > ") end
    return ("%s > … %s more … > %s"):format(table.concat(names, " > ", 1, 4),
        format.count(#names - 7), table.concat(names, " > ", #names - 2))
end

--- Lines that say it, for under a plan.
function estimate.lines(jobs, found)
    local names = {}
    for n, i in ipairs(found.path) do names[n] = text.line(jobs[i].name) end
    local lines = { ("critical path * %s: %s"):format(format.duration(found.length),
        estimate.chain(names)) }
    if found.wall then
        lines[2] = ("about %s on %s, by earlier runs%s"):format(format.duration(found.wall),
            format.plural(found.slots, "slot"), found.unknown > 0
                and (" (%s not measured yet)"):format(format.plural(found.unknown, "job")) or "")
    end
    return lines
end

return estimate
