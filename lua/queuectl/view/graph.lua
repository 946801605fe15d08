-- `run --graph`: the jobs of a plan as a tree, as Graphviz or as Mermaid.
--
-- In the tree every job stands once, below the one of its needs that comes last; below the others
-- a dotted branch refers to it (↑ above, ↓ below). Where a tree would become deeper than the
-- terminal is wide, it goes on in a tree of its own.

local estimate = require "queuectl.view.estimate"
local format = require "queuectl.view.format"
local graph_nodes = require "queuectl.view.graph_nodes"
local text = require "queuectl.view.text"

local graph = {}

local DEPTH_MAX, REFERENCES = 12, 4

-- ---- as a tree ----

-- The need that comes last: the latest step, of these the one defined last.
local function main_need(node)
    local best
    for _, need in ipairs(node.needs) do
        local parent = need.node
        if not best or parent.step > best.node.step
            or parent.step == best.node.step and parent.id > best.node.id then
            best = need
        end
    end
    return best
end

local function condition(need)
    if not need then return "" end
    local words, all = {}, #need.node.members
    if need.count < all then words[1] = ("needs %d of %d"):format(need.count, all) end
    if need.on ~= "success" then words[#words + 1] = "on " .. need.on end
    return #words > 0 and (" (%s)"):format(table.concat(words, ", ")) or ""
end

-- Where each node goes: its parent in the tree, and its depth. A node that would be too deep
-- begins a tree of its own. Nodes are visited step by step, so parents come first.
local function arrange(nodes)
    local sorted = {}
    for i, node in ipairs(nodes) do sorted[i] = node end
    table.sort(sorted, function(a, b)
        if a.step ~= b.step then return a.step < b.step end
        return a.id < b.id
    end)
    local roots = {}
    for _, node in ipairs(sorted) do
        node.below, node.depth = {}, 0
        local need = main_need(node)
        local parent = need and need.node
        if parent and parent.depth < DEPTH_MAX then
            node.parent, node.depth = parent, parent.depth + 1
            parent.below[#parent.below + 1] = node
        else
            node.continues = parent
            roots[#roots + 1] = node
        end
    end
    return roots
end

local function number(node, counter)
    counter.at = counter.at + 1
    node.place = counter.at
    for _, child in ipairs(node.below) do number(child, counter) end
end

local function described(node, need)
    local words = text.line(node.label) .. condition(need)
    if node.seconds then words = words .. "  " .. format.duration(node.seconds) end
    return node.is_critical and words .. " *" or words
end

-- What stands below a node: the nodes of its own, then references to those that stand elsewhere.
local function branches(node)
    local list, elsewhere = {}, 0
    for _, child in ipairs(node.below) do list[#list + 1] = { node = child } end
    for _, child in ipairs(node.children) do
        if child.parent ~= node then
            elsewhere = elsewhere + 1
            if elsewhere <= REFERENCES then
                list[#list + 1] = { node = child, is_reference = true }
            end
        end
    end
    if elsewhere > REFERENCES then
        list[#list + 1] = { words = ("… %d more shown elsewhere"):format(elsewhere - REFERENCES) }
    end
    return list
end

local function draw(node, indent, out)
    local list = branches(node)
    for i, branch in ipairs(list) do
        local is_last, child = i == #list, branch.node
        local corner, words = is_last and "└" or "├", branch.words
        if branch.is_reference then
            words = ("%s%s %s"):format(text.line(child.label), condition(child.by_need[node]),
                child.place > node.place and "↓" or "↑")
        elseif child then
            words = described(child, child.by_need[node])
        end
        local dash = (branch.is_reference or branch.words) and "┄ " or "─ "
        out[#out + 1] = { indent .. corner .. dash, words,
            is_bold = child and not branch.is_reference and child.is_critical }
        if child and not branch.is_reference then
            draw(child, indent .. (is_last and "   " or "│  "), out)
        end
    end
end

local function print_lines(ctx, lines)
    for _, line in ipairs(lines) do
        local branch, words = line[1], line[2]
        if ctx.tty then words = text.cut(words, math.max(8, ctx.columns - text.width(branch))) end
        ctx:print(branch .. (line.is_bold and ctx:style("bold", words) or words) .. "\n")
    end
end

local function print_tree(ctx, plan, found)
    local nodes = graph_nodes.of(plan.jobs, found)
    local roots, counter, lines = arrange(nodes), { at = 0 }, {}
    for _, root in ipairs(roots) do number(root, counter) end
    for _, root in ipairs(roots) do
        local words = described(root)
        if root.continues then
            words = ("%s  (needs %s)"):format(words, text.line(root.continues.label))
        end
        lines[#lines + 1] = { "", words, is_bold = root.is_critical }
        draw(root, "", lines)
    end
    print_lines(ctx, lines)
    ctx:print(format.plural(#plan.jobs, "job") .. "\n")
    for _, line in ipairs(found and estimate.lines(plan.jobs, found) or {}) do
        ctx:print((ctx.tty and text.cut(line, ctx.columns) or line) .. "\n")
    end
end

-- ---- as Graphviz ----

local function dot_quote(str)
    return '"' .. text.line(str):gsub('[\\"]', "\\%0") .. '"'
end

local DOT_EDGES = { success = "", failure = ' [style=dashed, label="on failure"]',
    done = ' [style=dotted, label="on done"]', mixed = ' [style=dotted, label="mixed"]' }

local function with_seconds(node)
    return node.label .. (node.seconds and "  " .. format.duration(node.seconds) or "")
end

local function print_dot(ctx, plan, found)
    local nodes = graph_nodes.of(plan.jobs, found)
    ctx:print('digraph jobs {\n    rankdir=LR;\n    node [shape=box, fontname="sans-serif"];\n')
    for _, node in ipairs(nodes) do
        ctx:print(("    n%d [label=%s%s];\n"):format(node.id, dot_quote(with_seconds(node)),
            node.is_critical and ", penwidth=3" or ""))
    end
    for _, node in ipairs(nodes) do
        for _, need in ipairs(node.needs) do
            ctx:print(("    n%d -> n%d%s;\n"):format(need.node.id, node.id, DOT_EDGES[need.on]))
        end
    end
    ctx:print("}\n")
end

-- ---- as Mermaid ----

-- Its text knows entities by number; these are what means something in it.
local function mermaid_quote(str)
    return '"' .. text.line(str):gsub('[#"&<>`\\]', function(char)
        return ("#%d;"):format(char:byte())
    end) .. '"'
end

local MERMAID_EDGES = { success = "-->", failure = "-. on failure .->", done = "-. on done .->",
    mixed = "-. mixed .->" }

local function print_mermaid(ctx, plan, found)
    local nodes, on_path = graph_nodes.of(plan.jobs, found), {}
    ctx:print("flowchart LR\n")
    for _, node in ipairs(nodes) do
        ctx:print(("    n%d[%s]\n"):format(node.id, mermaid_quote(with_seconds(node))))
        if node.is_critical then on_path[#on_path + 1] = "n" .. node.id end
    end
    for _, node in ipairs(nodes) do
        for _, need in ipairs(node.needs) do
            ctx:print(("    n%d %s n%d\n"):format(need.node.id, MERMAID_EDGES[need.on], node.id))
        end
    end
    if #on_path > 0 then
        ctx:print("    classDef critical stroke-width:3px\n    class " .. table.concat(on_path, ",")
            .. " critical\n")
    end
end

local SHAPES = { text = print_tree, dot = print_dot, mermaid = print_mermaid }

--- nil and a message where a word is none of the shapes.
function graph.check(shape)
    if SHAPES[shape] then return true end
    return nil, ("--graph '%s': must be text, dot or mermaid"):format(shape:sub(1, 40))
end

--- shape: "text", "dot" or "mermaid"; opts as for plan.print. Returns true.
function graph.print(ctx, plan, shape, opts)
    opts = opts or {}
    SHAPES[shape](ctx, plan, estimate.of(plan.jobs, opts.times, opts.slots))
    return true
end

return graph
