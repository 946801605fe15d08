-- Collects what is wrong with a file and prints it the way a compiler does, in line order.

local text = require "queuectl.jobs.text"

local problems = {}
problems.__index = problems

problems.MAX_SHOWN = 20

local MAX_LINE = 1000

--- `display` is the path as the user typed it, of the first file if there are several.
function problems.new(display)
    return setmetatable({ display = display, list = {}, seen = {} }, problems)
end

--- One problem. `at` has the place in its `line` and `unit` (see jobs/chunk.lua); either may be
-- missing, or all of it. The same problem twice is kept once.
function problems:add(at, message)
    local line, unit = at and at.line, at and at.unit
    local key = ("%d:%d:%s"):format(unit and unit.order or 0, line or 0, message)
    if self.seen[key] then return end
    self.seen[key] = true
    local list = self.list
    list[#list + 1] = { line = line, message = message, order = #list,
        display = unit and unit.display or self.display, file = unit and unit.order or 1 }
end

--- A problem of the plan as a whole, shown without the file's name.
function problems:add_global(message)
    self.list[#self.list + 1] = { message = message, order = #self.list,
        file = math.huge, is_global = true }
end

--- How many are known: a caller may stop making expensive hints beyond MAX_SHOWN.
function problems:count()
    return #self.list
end

local function in_line_order(a, b)
    if a.file ~= b.file then return a.file < b.file end
    local line_a, line_b = a.line or math.huge, b.line or math.huge
    if line_a ~= line_b then return line_a < line_b end
    return a.order < b.order
end

local function format_problem(problem)
    local line = problem.line and problem.line .. ":" or ""
    local prefix = problem.is_global and "" or problem.display .. ":" .. line .. " "
    return text.escape(text.shorten(prefix .. problem.message, MAX_LINE))
end

--- All of it as text, one problem a line, or nil when there is none.
function problems:render()
    local total = #self.list
    if total == 0 then return nil end
    table.sort(self.list, in_line_order)
    local lines = {}
    for i = 1, math.min(total, problems.MAX_SHOWN) do
        lines[i] = format_problem(self.list[i])
    end
    if total > problems.MAX_SHOWN then
        local hidden = text.count(total - problems.MAX_SHOWN, "more problem")
        lines[#lines + 1] = text.escape(self.display) .. ": " .. hidden
    end
    return table.concat(lines, "\n")
end

return problems
