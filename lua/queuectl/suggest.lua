-- "Did you mean": the nearest of the known names, if it is near enough to be plausible.
-- Distance is Damerau's in its restricted form: insert, delete, replace or swap two neighbours.

local suggest = {}

local LONGEST = 250

local function plausible_distance(length)
    if length <= 1 then return 0 end
    if length <= 4 then return 1 end
    if length <= 8 then return 2 end
    return 3
end

local function edit_cost(a, b, i, j, rows)
    local previous, current = rows[2], rows[3]
    local same = a:byte(i) == b:byte(j)
    local best = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
    if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, rows[1][j - 2] + 1)
    end
    return best
end

--- Edits from `a` to `b`, or limit + 1 when there are more than `limit`.
-- Only the band of width 2 * limit + 1 around the diagonal is computed.
function suggest.distance(a, b, limit)
    local beyond = limit + 1
    if math.abs(#a - #b) > limit then return beyond end
    local rows = { {}, {}, {} }
    for j = -1, #b + 1 do
        rows[1][j], rows[2][j], rows[3][j] = beyond, j >= 0 and j or beyond, beyond
    end
    for i = 1, #a do
        local low, high = math.max(1, i - limit), math.min(#b, i + limit)
        local current = rows[3]
        current[low - 1] = low == 1 and i or beyond
        current[high + 1] = beyond
        for j = low, high do current[j] = edit_cost(a, b, i, j, rows) end
        rows[1], rows[2], rows[3] = rows[2], rows[3], rows[1]
    end
    return math.min(rows[2][#b], beyond)
end

--- The candidate nearest to `name`, or nil. Letter case does not count; of two equally near
-- ones the first in byte order wins, whatever order they were given in.
function suggest.nearest(name, candidates)
    if #name == 0 or #name > LONGEST then return nil end
    local wanted = name:lower()
    local limit = plausible_distance(#name)
    local best, best_distance
    for _, candidate in ipairs(candidates) do
        local distance = suggest.distance(wanted, candidate:lower(), limit)
        if distance <= limit then
            local closer = not best or distance < best_distance
            if closer or distance == best_distance and candidate < best then
                best, best_distance = candidate, distance
            end
            limit = best_distance
        end
    end
    return best
end

--- " (did you mean 'x'?)", or "" when nothing is near.
function suggest.hint(name, candidates)
    local nearest = suggest.nearest(name, candidates)
    return nearest and (" (did you mean '%s'?)"):format(nearest) or ""
end

return suggest
