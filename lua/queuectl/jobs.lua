-- Plans a jobs file: evaluates its text once and turns the jobs it defines into plain data,
-- checked as a whole. Nothing is stored or started here.

local build = require "queuectl.jobs.build"
local chunk = require "queuectl.jobs.chunk"
local define = require "queuectl.jobs.define"
local globals = require "queuectl.jobs.globals"
local problem_list = require "queuectl.jobs.problems"
local ref = require "queuectl.jobs.ref"

local jobs = {}

local EXAMPLE = [[define one: job "hello" { run = "echo hello" }]]

-- Library functions that would end the program or lose a token's own message.
local function guard_libraries(raise)
    local function refuse_tokens(fn)
        return function(...)
            for i = 1, select("#", ...) do
                if ref.token((select(i, ...))) then raise(ref.SPLICE) end
            end
            return fn(...)
        end
    end
    local concat = table.concat
    rawset(string, "format", refuse_tokens(string.format))
    rawset(table, "concat", function(list, ...)
        for _, value in ipairs(type(list) == "table" and list or {}) do
            if ref.token(value) then raise(ref.SPLICE) end
        end
        return concat(list, ...)
    end)
    rawset(os, "exit", function()
        raise("os.exit would end queuectl itself; raise an error instead")
    end)
end

local function print_to_stderr(...)
    local parts = { ... }
    for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
    io.stderr:write(table.concat(parts, "\t"), "\n")
end

local function new_environment(definer, problems, opts)
    local label = definer.label
    local extra = definer:functions()
    -- What a file prints while it is planned must not mix with the command's own result.
    extra.print = opts.print or print_to_stderr
    return globals.new(extra, {
        undefined = function(name, hint)
            chunk.raise(label, ("undefined variable '%s'%s"):format(name, hint))
        end,
        assigned = function(name)
            problems:add(chunk.line(label), ("assignment to global '%s': add 'local'"):format(name))
        end,
    })
end

-- Runs the file with the libraries guarded, and puts them back whatever happens.
local function evaluate(fn, label)
    local restore = globals.save_libraries()
    guard_libraries(function(message) chunk.raise(label, message) end)
    local line, message
    local ok = xpcall(fn, function(value)
        restore()
        line, message = chunk.explain(label, value)
    end)
    restore()
    return ok, message or "stack overflow", line
end

local function directory_of(path)
    return path:match("^(.*)/[^/]*$") or "."
end

--- Evaluates and checks the text of a jobs file.
-- opts: `display` the path as the user typed it (default: path); `path` the absolute path to
-- put into the plan; `dir` what relative paths in the file are relative to (default: the
-- directory of `path`); `encode` the JSON encoder that decides the size of `meta`; `print` where
-- the file's print goes (default: stderr).
-- Returns { path =, text =, jobs = { spec, … } }, or nil and the problems, one a line.
function jobs.plan(source, path, opts)
    opts = opts or {}
    local display, absolute = opts.display or path, opts.path or path
    local label, problems = chunk.label(display), problem_list.new(display)
    local definer = define.new(label, problems,
        { dir = opts.dir or directory_of(absolute), encode = opts.encode })
    local fn, message, line = chunk.load(source, label, new_environment(definer, problems, opts))
    if not fn then
        problems:add(line, message)
        return nil, problems:render()
    end
    local ok
    ok, message, line = evaluate(fn, label)
    if not ok then
        problems:add(line, message)
        return nil, problems:render()
    end
    definer:check_started()
    if #definer.defs == 0 and problems:count() == 0 then
        problems:add(nil, "no jobs defined; " .. EXAMPLE)
    end
    local specs = build.jobs(definer, problems)
    if not specs then return nil, problems:render() end
    return { path = absolute, text = source, jobs = specs }
end

return jobs
