-- Collects what is wrong with a file and prints it the way a compiler does, in line order.

local text = require "queuectl.jobs.text"

local problems = {}
problems.__index = problems

problems.MAX_SHOWN = 20

local MAX_LINE = 1000

--- `display` is the path as the user typed it.
function problems.new(display)
    return setmetatable({ display = display, list = {}, seen = {} }, problems)
end

--- One problem; `line` may be nil. The same problem twice is kept once.
function problems:add(line, message)
    local key = (line or 0) .. ":" .. message
    if self.seen[key] then return end
    self.seen[key] = true
    local list = self.list
    list[#list + 1] = { line = line, message = message, order = #list }
end

--- A problem of the plan as a whole, shown without the file's name.
function problems:add_global(message)
    self.list[#self.list + 1] = { message = message, order = #self.list, is_global = true }
end

--- How many are known: a caller may stop making expensive hints beyond MAX_SHOWN.
function problems:count()
    return #self.list
end

local function in_line_order(a, b)
    local line_a, line_b = a.line or math.huge, b.line or math.huge
    if line_a ~= line_b then return line_a < line_b end
    return a.order < b.order
end

local function format_problem(display, problem)
    local prefix = problem.line and ("%s:%d: "):format(display, problem.line) or display .. ": "
    if problem.is_global then prefix = "" end
    return text.escape(text.shorten(prefix .. problem.message, MAX_LINE))
end

--- All of it as text, one problem a line, or nil when there is none.
function problems:render()
    local total = #self.list
    if total == 0 then return nil end
    table.sort(self.list, in_line_order)
    local lines = {}
    for i = 1, math.min(total, problems.MAX_SHOWN) do
        lines[i] = format_problem(self.display, self.list[i])
    end
    if total > problems.MAX_SHOWN then
        local hidden = text.count(total - problems.MAX_SHOWN, "more problem")
        lines[#lines + 1] = text.escape(self.display) .. ": " .. hidden
    end
    return table.concat(lines, "\n")
end

return problems
