-- Plans jobs files: evaluates their texts once and turns the jobs they define into plain data,
-- checked as a whole. Nothing is stored or started here.

local build = require "queuectl.jobs.build"
local chunk = require "queuectl.jobs.chunk"
local define = require "queuectl.jobs.define"
local globals = require "queuectl.jobs.globals"
local modules = require "queuectl.jobs.modules"
local params = require "queuectl.jobs.params"
local problem_list = require "queuectl.jobs.problems"
local program = require "queuectl.jobs.program"
local ref = require "queuectl.jobs.ref"
local secret = require "queuectl.jobs.secret"
local shell_text = require "queuectl.jobs.shell_text"

local jobs = {}

local EXAMPLE = [[define one: job "hello" { run = "echo hello" }]]

-- Nearly all that planning makes is kept: collecting less often costs little memory.
local GC_PAUSE = 300

--- Third result of plan when the values given for parameters are wrong, not the file.
jobs.USAGE = 2

-- Why a value cannot become text now, or nil.
local function refusal(value)
    return ref.token(value) and ref.SPLICE or secret.source(value) and secret.SPLICE
end

-- Library functions that would end the program or lose a token's own message.
local function guard_libraries(raise)
    local function refuse_tokens(fn)
        return function(...)
            for i = 1, select("#", ...) do
                local message = refusal((select(i, ...)))
                if message then raise(message) end
            end
            return fn(...)
        end
    end
    local concat = table.concat
    rawset(string, "format", refuse_tokens(string.format))
    rawset(table, "concat", function(list, ...)
        for _, value in ipairs(type(list) == "table" and list or {}) do
            local message = refusal(value)
            if message then raise(message) end
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

local function find_none() end

-- The globals of one text of the program.
local function new_environment(planning, unit)
    local extra = planning.definer:functions(unit)
    -- What a file prints while it is planned must not mix with the command's own result.
    extra.print = planning.opts.print or print_to_stderr
    extra.sh = shell_text.new(planning.raise)
    extra.require = function(name) return planning.modules:require(unit, name) end
    return globals.new(extra, {
        lenient = unit.installed,
        undefined = function(name, hint)
            if planning.definer.by_name[name] then
                hint = (' (for the job write "%s", or before it: local %s = job "%s" ...)')
                    :format(name, name, name)
            end
            planning.raise(("undefined variable '%s'%s"):format(name, hint))
        end,
        assigned = function(name)
            planning.problems:add(planning.definer:here(),
                ("assignment to global '%s': add 'local'"):format(name))
        end,
    })
end

local function directory_of(path)
    return path:match("^(.+)/[^/]*$") or path:sub(1, 1) == "/" and "/" or "."
end

-- Loads and calls the text of one file; false when that was not possible.
local function evaluate_file(planning, file)
    local code, problems = planning.code, planning.problems
    local unit = code:add(file.display, file.path, file.text)
    unit.dir, unit.folder = file.dir or directory_of(file.path), file.folder
    planning.definer:begin(unit, unit.dir)
    local fn, message, line = chunk.load(file.text, unit.label, new_environment(planning, unit))
    if not fn then
        problems:add({ line = line, unit = unit }, message)
        return false
    end
    local where
    local ok = xpcall(fn, function(value)
        planning.restore()
        line, message, where = chunk.explain(code, value)
    end)
    if not ok then
        problems:add({ line = line, unit = where or unit }, message or "stack overflow")
    end
    return ok
end

-- The clock of the libraries goes `seconds` ahead: what a file makes of it differs.
local function shift_clock(seconds)
    local now, date, clock = os.time, os.date, os.clock
    rawset(os, "time", function(fields) return fields and now(fields) or now() + seconds end)
    rawset(os, "clock", function() return clock() + seconds end)
    rawset(os, "date", function(form, at) return date(form, at or now() + seconds) end)
end

-- Runs the files with the libraries guarded, and puts them back whatever happens.
local function evaluate(planning, files)
    planning.restore = globals.save_libraries()
    guard_libraries(planning.raise)
    if planning.opts.later then shift_clock(planning.opts.later) end
    local ok = true
    for _, file in ipairs(files) do ok = ok and evaluate_file(planning, file) end
    planning.restore()
    return ok
end

local function new_planning(files, opts)
    local planning = { opts = opts, code = chunk.code(),
        problems = problem_list.new(files[1].display),
        params = params.new(opts.params, opts) }
    planning.raise = function(message) chunk.raise(planning.code, message) end
    planning.definer = define.new(planning.code, planning.problems, planning.params,
        { encode = opts.encode, now = opts.now })
    planning.modules = modules.new(planning.code, opts.find or find_none, function(unit)
        return new_environment(planning, unit)
    end, planning.raise)
    return planning
end

-- What is wrong with the values given, or nil. Names are known once all has been read.
local function wrong_values(planning, evaluated)
    local messages = { unpack(planning.params.wrong) }
    if evaluated and planning.problems:count() == 0 then
        for _, message in ipairs(planning.params:unknown()) do messages[#messages + 1] = message end
    end
    return #messages > 0 and table.concat(messages, "\n") or nil
end

local function build_specs(planning)
    local definer, problems = planning.definer, planning.problems
    definer:check_started()
    if #definer.defs == 0 and problems:count() == 0 then
        problems:add({ unit = planning.code.units[1] }, "no jobs defined; " .. EXAMPLE)
    end
    return build.jobs(definer, problems, planning.opts)
end

local function texts_of(planning)
    local files, loaded = {}, {}
    for _, unit in ipairs(planning.code.units) do
        local list = unit.module and loaded or files
        list[#list + 1] = unit
    end
    return files, loaded
end

local function finish(planning, specs)
    local files, loaded = texts_of(planning)
    local plan = { path = files[1].path, text = files[1].text, jobs = specs,
        params = planning.params:describe() }
    plan.document = program.write { files = files, modules = loaded,
        params = planning.params:values() }
    return plan
end

-- For help: the parameters, and the jobs if there are any to be known.
local function finish_for_help(planning, specs)
    local plan = finish(planning, specs or {})
    plan.problems = not specs and planning.problems:render() or nil
    return plan
end

local function plan_files(files, opts)
    local planning = new_planning(files, opts)
    local ok = evaluate(planning, files)
    local wrong = not opts.for_help and wrong_values(planning, ok)
    if wrong then return nil, wrong, jobs.USAGE end
    local specs = ok and build_specs(planning) or nil
    if opts.for_help and (specs or #planning.params.list > 0) then
        return finish_for_help(planning, specs)
    end
    if not specs then return nil, planning.problems:render() end
    return finish(planning, specs)
end

--- Evaluates and checks jobs files as one plan: their jobs and parameters share their names.
-- files: a list of { text =, path = (absolute), display = (as typed), dir = (what relative paths
-- in it are relative to, default: the directory of `path`), folder = (how the folder of its modules
-- is displayed, default: that of `display`) }.
-- opts: `params` values for parameters by name, text or plain data; `earlier` the same for those
-- not in `params`, where unknown names do no harm; `cwd` what paths among them
-- are relative to (default: like the file's own); `missing_ok` required ones may be missing;
-- `for_help` they may be wrong, too; `now` wall seconds, what run_at is seen from; `later` seconds
-- by which the file's own clock is ahead; `folders` jobs without a cwd get the file's; `encode` the
-- JSON encoder that decides the size of `meta`; `print` where the files' print goes (default:
-- stderr); `find` gives the text of a module by its path, or nil (default: there are none).
-- Returns { path =, text = (of the first file), jobs = { spec, … }, params = { declaration, … },
-- document = (see jobs/program.lua) }, with for_help also `problems` where there are no jobs to be
-- known; or nil and the problems, one a line, and jobs.USAGE if they are of the values given.
function jobs.plan_files(files, opts)
    local pause = collectgarbage("setpause", GC_PAUSE)
    local plan, message, code = plan_files(files, opts or {})
    collectgarbage("setpause", pause)
    return plan, message, code
end

--- The same for one text. opts also has what a file has: `display` (default: path), `path` the
-- absolute one, `dir`.
function jobs.plan(source, path, opts)
    opts = opts or {}
    return jobs.plan_files({ { text = source, path = opts.path or path,
        display = opts.display or path, dir = opts.dir } }, opts)
end

return jobs
