-- Jobs whose names differ in the values of a matrix or in a number belong together where there are
-- too many to show each: "test[db=pg]" is one of "test[…]", "index-12" one of "index-…".

local groups = {}

--- What a job is called together with its like.
function groups.label(name)
    local base = name:match("^(.-)%[.*%]$")
    if base then return base .. "[…]" end
    return (name:gsub("%d+", "…"))
end

--- names: list of texts, nil ones are left out. Returns the groups in order of their first member,
-- { label =, members = { index, … } }, and the group of each index. A group of one has the
-- member's own name.
function groups.of(names, count)
    local list, by_label, of = {}, {}, {}
    for i = 1, count or #names do
        local name = names[i]
        if name then
            local label = groups.label(name)
            local group = by_label[label]
            if not group then
                group = { label = label, members = {} }
                by_label[label], list[#list + 1] = group, group
            end
            group.members[#group.members + 1] = i
            of[i] = group
        end
    end
    for _, group in ipairs(list) do
        if #group.members == 1 then group.label = names[group.members[1]] end
    end
    return list, of
end

return groups
