-- ONE table of what may stand in a job. Validation, suggestions, the printed reference and the
-- types for editors all come from here. A new key is a row here and, if no check fits, a
-- function in jobs/check.lua.
--
-- name     the key
-- type     for people: what may be given
-- check    the function of jobs/check.lua that validates and normalises the value
-- field    where the normalised value goes in a planned job; none: jobs/build.lua places it
-- default  the normalised value when nothing is given (nil: none, or a configured one)
-- shown    the default as a person would write it
-- unit     of numbers, where they have one
-- desc     one line of reference
-- near     names people try instead, for "did you mean"
-- The remaining fields are limits for the check.

local schema = {}

schema.job_keys = {
    { name = "run", type = "string | list | function", check = "run",
        desc = "what to do: shell text, a program with its arguments, or Lua",
        near = { "command", "cmd", "script", "exec", "argv" } },
    { name = "shell", type = "list of strings", check = "shell", shown = "{ \"/bin/sh\", \"-c\" }",
        desc = "what shell text is handed to, as its last argument",
        near = { "interpreter", "executable" } },
    { name = "when", type = "function", check = "when", field = "when",
        desc = "asked once the jobs needed have ended; false skips the job",
        near = { "if", "condition", "only_if", "preconditions" } },
    { name = "needs", type = "job | name | list", check = "needs",
        desc = "jobs that must finish first; { x, on = \"success|failure|done\" } says how",
        near = { "depends", "depends_on", "dependencies", "deps", "after", "requires",
            "prerequisites" } },
    { name = "env", type = "table", check = "env", max_bytes = 64 * 1024,
        desc = "environment variables; false removes one",
        near = { "environment", "vars", "variables" } },
    { name = "cwd", type = "string", check = "path", field = "cwd",
        shown = "the file's folder",
        desc = "working directory, relative to the file",
        near = { "dir", "directory", "workdir", "working_directory", "chdir", "folder" } },
    { name = "stdin", type = "string | { file = path }", check = "stdin", max_bytes = 1024 * 1024,
        desc = "what the job reads", near = { "input" } },
    { name = "timeout", type = "duration | \"none\"", check = "duration", field = "timeout_ms",
        unit = "seconds", none = true, positive = true, shown = "1h",
        desc = "longest time of one try, then TERM to the process group",
        near = { "time_limit", "timeout_seconds", "timeout_minutes", "max_time" } },
    { name = "max_age", type = "duration | \"none\"", check = "duration", field = "max_age_ms",
        unit = "seconds", none = true, positive = true, shown = "none",
        desc = "no further try begins once the job is this old, counted from when it was enqueued",
        near = { "expires", "ttl" } },
    { name = "kill_after", type = "duration", check = "duration", field = "kill_after_ms",
        unit = "seconds", default = 10000, shown = "10s",
        desc = "time between TERM and KILL", near = { "grace", "kill_timeout" } },
    { name = "retries", type = "integer | \"unlimited\"", check = "retries", field = "retries",
        min = 0, max = 1000000, default = 3, shown = "3",
        desc = "more tries after the first one fails",
        near = { "max_retries", "attempts", "max_attempts", "retry", "retry_policy" } },
    { name = "backoff", type = "name | table | list of durations", check = "backoff",
        field = "backoff", unit = "seconds", shown = "exponential from 2s to 5m",
        desc = "wait before each further try", near = { "retry_delay", "retry_interval" } },
    { name = "delay", type = "duration", check = "duration", field = "delay_ms", unit = "seconds",
        default = 0, shown = "0",
        desc = "wait before the first start, once nothing else holds the job back" },
    { name = "run_at", type = "time", check = "instant", field = "start_at",
        desc = "never before: \"18:00\", \"tomorrow 09:00\", \"2030-01-31T09:00Z\", \"in 5m\"",
        near = { "start_at", "at", "not_before" } },
    { name = "priority", type = "integer", check = "integer", field = "priority",
        min = -2147483648, max = 2147483647, default = 0, shown = "0",
        desc = "larger goes first", near = { "prio" } },
    { name = "queue", type = "string", check = "label", field = "queue", default = "default",
        shown = "\"default\"", desc = "the queue the job waits in" },
    { name = "group", type = "string", check = "label", field = "group",
        desc = "the group whose limits the job shares" },
    { name = "matrix", type = "table of lists", check = "matrix",
        desc = "one job per combination; include and exclude as in GitHub Actions",
        near = { "strategy" } },
    { name = "outputs", type = "list of names", check = "outputs", field = "outputs",
        default = {}, shown = "{}", max_entries = 100,
        desc = "values the job promises to other jobs" },
    { name = "desc", type = "string", check = "prose", field = "desc", max_bytes = 4096,
        desc = "a sentence for people", near = { "description", "comment", "summary" } },
    { name = "tags", type = "list of strings", check = "tags", field = "tags", default = {},
        shown = "{}", max_bytes = 200, max_entries = 100,
        desc = "words to find the job by", near = { "labels" } },
    { name = "ok_codes", type = "list of integers", check = "codes", field = "ok_codes",
        default = { 0 }, shown = "{ 0 }", min = 0, max = 255,
        desc = "exit codes that mean success", near = { "exit_codes", "success_codes" } },
    { name = "allow_failure", type = "boolean", check = "boolean", field = "allow_failure",
        default = false, shown = "false", desc = "its failure does not fail the run",
        near = { "continue_on_error", "continue_on", "ignore_errors" } },
    { name = "fail_fast", type = "boolean", check = "boolean", field = "fail_fast",
        default = false, shown = "false",
        desc = "when it fails for good, nothing else of the run is started",
        near = { "failfast", "stop_on_failure" } },
    { name = "artifacts", type = "list of paths or patterns", check = "artifacts",
        field = "artifacts", default = {}, shown = "{}", max_entries = 100,
        desc = "files the job promises to leave behind, relative to cwd",
        near = { "produces", "files", "upload" } },
    { name = "limits", type = "table", check = "limits", field = "limits",
        desc = "limits.memory (\"2G\"), .cpu (a duration), .files, .nice",
        near = { "resources", "ulimit", "rlimit" } },
    { name = "meta", type = "table", check = "meta", field = "meta",
        desc = "your own data, at most 4 KiB", near = { "metadata", "data" } },
}

--- Keys by name, each with its place in the table above as `rank`.
schema.job = {}

--- Names to suggest from -> the key that is meant.
local meant = {}
local suggestable = {}

local function suggest_for(name, key)
    meant[name] = key
    suggestable[#suggestable + 1] = name
end

for rank, row in ipairs(schema.job_keys) do
    row.rank = rank
    schema.job[row.name] = row
    suggest_for(row.name, row.name)
end
for _, row in ipairs(schema.job_keys) do
    for _, name in ipairs(row.near or {}) do suggest_for(name, row.name) end
end

-- Words of other tools for what is no key of a job, and what there is instead.
local LINES = "; write the lines as one text, run = [[ ... ]], or make each of them a job"
local LOCAL = "; a job runs programs of this machine: call them in run"
local ALWAYS = "; a job runs whenever its file is run, whatever files there are"
local NEEDS_ON = "; a job that comes after others says needs = { { x, on = \"done\" } }"

local INSTEAD = {
    name = "; the name stands before the table: job \"name\" { ... }",
    steps = LINES, cmds = LINES, commands = LINES, recipe = LINES,
    uses = LOCAL, with = LOCAL, image = LOCAL, container = LOCAL, services = LOCAL,
    runs_on = LOCAL,
    phony = ALWAYS, sources = ALWAYS, inputs = ALWAYS, targets = ALWAYS, generates = ALWAYS,
    on = NEEDS_ON, always = NEEDS_ON, handler_on = NEEDS_ON, handleron = NEEDS_ON,
    secrets = "; write env = { NAME = secret \"env:NAME\" }",
    params = "; write param \"name\" { ... } before the jobs",
    schedule = "; there are no schedules: let cron call queuectl run",
    cron = "; there are no schedules: let cron call queuectl run",
    cache = "; files stay where they are: use a folder of your own",
    parallel = "; say queuectl run -j N", concurrency = "; say queuectl run -j N",
    user = "; jobs run as who starts the worker",
}

--- What to say of a key that is not in the table: " (did you mean 'x'?)", "; what there is
-- instead", or "".
function schema.hint(key)
    local instead = INSTEAD[(key:lower():gsub("-", "_"))]
    if instead then return instead end
    local suggest = require "queuectl.suggest"
    local nearest = suggest.nearest(key, suggestable)
    return nearest and (" (did you mean '%s'?)"):format(meant[nearest]) or ""
end

schema.needs_on = { "done", "failure", "success" }

schema.backoff_jitters = { "equal", "full", "none" }

--- Which options each kind of backoff takes. The delay before further try n is
-- exponential base * factor^(n-1), linear base * n, fixed base; decorrelated draws between base
-- and three times the last delay; list takes the n-th, the last one repeats. `cap` limits each.
schema.backoff_kinds = {
    exponential = { "base", "factor", "cap", "jitter" },
    linear = { "base", "cap", "jitter" },
    fixed = { "base", "jitter" },
    decorrelated = { "base", "cap" },
    list = { "jitter" },
}

schema.backoff_options = {
    base = { field = "first_ms", type = "duration", default = 2000, shown = "2s" },
    factor = { field = "factor", type = "number", default = 2, shown = "2" },
    cap = { field = "cap_ms", type = "duration", default = 300000, shown = "5m" },
    jitter = { field = "jitter", type = "none | equal | full", default = "none", shown = "none" },
}

return schema
