-- What is allowed in a jobs file and yet most likely a mistake. `queuectl check` says it; a run
-- does not.

local jobs = require "queuectl.jobs"
local reach = require "queuectl.jobs.reach"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local lint = {}

-- A value nobody else writes. Quoted for the shell it does not stand in the text as it is.
local CANARY = "queuectl'check value"

-- Text and lists of it; everything else cannot carry a quote.
local TEXT_TYPES = { string = true, path = true, list = true }

local SHELLS = { sh = true, bash = true, dash = true, zsh = true, ksh = true, ash = true }

-- The second time a file is read so much time has gone by.
local LATER = 90061

local function add(found, at, message)
    local key = ("%s:%s:%s"):format(at.file, at.line, message)
    if found[key] then return end
    found[key] = true
    found[#found + 1] = { file = at.file, line = at.line, message = message }
end

local function subject(job)
    return "job " .. text.name(job.name)
end

-- ---- jobs that cannot run ----

local function check_reach(plan, found)
    local said = {}
    local never = reach.unreachable(plan.jobs)
    for i, job in ipairs(plan.jobs) do
        -- The instances of a matrix stand in one line.
        local place = ("%s:%s"):format(job.file, job.line)
        if never[i] and not said[place] then
            said[place] = true
            add(found, job, ("%s can never run: %s"):format(subject(job), never[i]))
        end
    end
end

local function check_times(plan, opts, found)
    for _, job in ipairs(plan.jobs) do
        local age, timeout = job.max_age_ms or 0, job.timeout_ms or 0
        if age > 0 and timeout > age then
            add(found, job, ("%s: timeout %s is longer than max_age %s: there is no second try "
                .. "after one that takes so long"):format(subject(job),
                time.format_duration(timeout), time.format_duration(age)))
        end
        if age > 0 and job.delay_ms >= age then
            add(found, job, ("%s can never run: delay %s is not shorter than max_age %s"):format(
                subject(job), time.format_duration(job.delay_ms), time.format_duration(age)))
        end
        local wait = (job.start_at or 0) - (opts.now or 0) * 1000
        if age > 0 and job.start_at and wait >= age then
            add(found, job, ("%s can never run: run_at is when max_age %s is over"):format(
                subject(job), time.format_duration(age)))
        end
        if job.fail_fast and job.allow_failure then
            add(found, job, subject(job) .. ": fail_fast does nothing with allow_failure")
        end
    end
end

-- ---- names that differ only in case ----

local function case_checker(found, what)
    local by_lower = {}
    return function(name, at)
        local lower = name:lower()
        local earlier = by_lower[lower]
        if not earlier then
            by_lower[lower] = { name = name, at = at }
        elseif earlier.name ~= name then
            local place = earlier.at.file == at.file and "line " .. (earlier.at.line or "?")
                or ("%s:%s"):format(earlier.at.file, earlier.at.line)
            add(found, at, ("%s %s differs only in case from %s at %s"):format(what,
                text.name(name), text.name(earlier.name), place))
        end
    end
end

local function check_case(plan, found)
    local job_name, tag = case_checker(found, "job"), case_checker(found, "tag")
    local param = case_checker(found, "parameter")
    for _, row in ipairs(plan.params) do param(row.name, row) end
    for _, job in ipairs(plan.jobs) do
        job_name(job.name:match("^(.-)%[") or job.name, job) -- without the values of a matrix
        for _, name in ipairs(job.tags) do tag(name, job) end
        if #job.outputs > 1 then
            local output = case_checker(found, subject(job) .. ": output")
            for _, name in ipairs(job.outputs) do output(name, job) end
        end
    end
end

-- ---- parameters in shell text ----

-- The text a shell will read, or nil.
local function shell_text(job)
    if job.command then return job.command end
    local argv = job.argv
    local program = argv and type(argv[1]) == "string" and argv[1]:match("[^/]+$")
    if not program then return nil end
    if SHELLS[program] and type(argv[2]) == "string" and argv[2]:find("^%-%a*c%a*$") then
        return type(argv[3]) == "string" and argv[3] or nil
    end
end

-- The file is there for jobs with outputs alone: for others the shell is told to write to "".
local function check_promises(plan, found)
    for _, job in ipairs(plan.jobs) do
        local script = shell_text(job)
        if script and #job.outputs == 0 and script:find("$QUEUECTL_OUTPUT", 1, true) then
            add(found, job, subject(job) .. ": writes to $QUEUECTL_OUTPUT, but promises nothing; "
                .. 'add outputs = { "KEY" }')
        end
    end
end

local function with_canary(given, name)
    local params = { [name] = CANARY }
    for key, value in pairs(given or {}) do
        if key ~= name then params[key] = value end
    end
    return params
end

local function check_splice(files, opts, row, found)
    local again = lint.copy(opts)
    again.params, again.print = with_canary(opts.params, row.name), function() end
    local plan = jobs.plan_files(files, again)
    for _, job in ipairs(plan and plan.jobs or {}) do
        local script = shell_text(job)
        if script and script:find(CANARY, 1, true) then
            add(found, job, ("%s: parameter %s stands in shell text unquoted; write "
                .. "sh.quote(...) around it or pass it through env"):format(
                subject(job), text.name(row.name)))
        end
    end
end

local function check_splices(files, opts, plan, found)
    for _, row in ipairs(plan.params) do
        if TEXT_TYPES[row.type] and not row.choices then
            check_splice(files, opts, row, found)
        end
    end
end

-- ---- a file that is not the same each time it is read ----

local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b or a ~= a and b ~= b end
    for key, value in next, a do
        if not same(value, b[key]) then return false end
    end
    for key in next, b do
        if a[key] == nil then return false end
    end
    return true
end

-- The planned fields under the names of the keys they come from.
local KEY_OF = { start_at = "run_at", command = "run", argv = "run", kind = "run",
    stdin_file = "stdin" }

local function key_of(field)
    return KEY_OF[field] or field:gsub("_ms$", "")
end

local function differing_key(a, b)
    if same(a, b) then return nil end
    for _, field in ipairs(text.sorted_keys(a)) do
        if not same(a[field], b[field]) then return (key_of(field)) end
    end
    for _, field in ipairs(text.sorted_keys(b)) do
        if a[field] == nil then return (key_of(field)) end
    end
end

local UNSTABLE = "; what depends on the time or on chance belongs into the job, not into the file"

local function compare_values(first, second, found)
    for i, row in ipairs(first.params) do
        local other = second.params[i]
        if not other or not same(row.value, other.value) then
            add(found, row, ("parameter %s differs when the file is read again"):format(
                text.name(row.name)) .. UNSTABLE)
        end
    end
end

local function compare(first, second, found)
    compare_values(first, second, found)
    for i, job in ipairs(first.jobs) do
        local other = second.jobs[i]
        if not other or other.name ~= job.name then
            add(found, job, ("%s is not there when the file is read again"):format(subject(job))
                .. UNSTABLE)
            return
        end
        local key = differing_key(job, other)
        if key then
            add(found, job, ("%s: %s differs when the file is read again"):format(subject(job),
                key) .. UNSTABLE)
        end
    end
    local more = second.jobs[#first.jobs + 1]
    if more then
        add(found, more, ("%s is only there when the file is read again"):format(subject(more))
            .. UNSTABLE)
    end
end

local function check_twice(files, opts, plan, found)
    local again = lint.copy(opts)
    again.later, again.print = LATER, function() end
    local second, message = jobs.plan_files(files, again)
    if second then return compare(plan, second, found) end
    local first_line = message:match("^[^\n]*")
    add(found, { file = files[1].display, line = nil },
        "cannot be read a second time: " .. first_line .. UNSTABLE)
end

function lint.copy(map)
    local result = {}
    for key, value in pairs(map) do result[key] = value end
    return result
end

local function by_place(order)
    return function(a, b)
        local file_a, file_b = order[a.file] or math.huge, order[b.file] or math.huge
        if file_a ~= file_b then return file_a < file_b end
        if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
        return a.message < b.message
    end
end

--- What is suspicious about a plan that jobs.plan_files made of `files` with `opts`: a list of
-- { file = display, line =, message = } in the order of the text. The files are read again.
function lint.find(plan, files, opts)
    local found, order = {}, {}
    for i, file in ipairs(files) do order[file.display] = i end
    check_reach(plan, found)
    check_times(plan, opts, found)
    check_case(plan, found)
    check_promises(plan, found)
    check_splices(files, opts, plan, found)
    check_twice(files, opts, plan, found)
    local list = {}
    for i, one in ipairs(found) do list[i] = one end
    table.sort(list, by_place(order))
    return list
end

return lint
