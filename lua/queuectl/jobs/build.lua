-- From checked definitions to the jobs of a plan: a matrix becomes its instances, names and
-- tokens become indexes, and what the file as a whole may get wrong is found.

local define = require "queuectl.jobs.define"
local graph = require "queuectl.jobs.graph"
local schema = require "queuectl.schema"
local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local build = {}

build.MAX_NEEDS = 1000000

local MAX_NAME = 200
local NONE = {}
local MAX_CYCLE_SHOWN = 12

local function subject(def)
    return "job " .. text.name(def.name)
end

local function enter_instance(state, def, name)
    local problems, index = state.problems, state.instances[name]
    local other = state.by_name[name] or state.def_of[index]
    if other then
        problems:add(def, ("%s: its instance %s is also the job at %s"):format(
            subject(def), text.name(name), define.place_text(other, def)))
    end
    if #name > MAX_NAME then
        problems:add(def, ("%s: the name of its instance %s is %d bytes long; the limit is %d")
            :format(subject(def), text.name(name), #name, MAX_NAME))
    end
    state.instances[name] = state.count
end

-- Gives each definition its range of indexes, first..last.
local function place(state)
    for _, def in ipairs(state.defs) do
        def.first = state.count + 1
        for _, combo in ipairs(def.values.matrix or { false }) do
            state.count = state.count + 1
            state.def_of[state.count] = def
            if combo and not def.nameless then
                enter_instance(state, def, def.name .. combo.label)
            end
        end
        def.last = state.count
    end
end

local function all_names(state)
    if not state.names then
        state.names = text.sorted_keys(state.by_name)
        for _, name in ipairs(text.sorted_keys(state.instances)) do
            state.names[#state.names + 1] = name
        end
    end
    return state.names
end

local function hint_for(state, name)
    local matrix_def = state.by_name[name:match("^(.-)%[") or ""]
    if matrix_def and matrix_def.values and matrix_def.values.matrix then
        return (" (there are %s)"):format(define.list_instances(matrix_def))
    end
    if state.problems:count() > state.problems.MAX_SHOWN then return "" end
    return suggest.hint(name, all_names(state))
end

-- The range of indexes a need stands for, or nil.
local function range_of(state, need)
    local def = need.def or state.by_name[need.name]
    if def and def.first then return def.first, def.last end
    -- Named but never completed, which has been reported.
    if def then return 1, 0 end
    local index = state.instances[need.name]
    return index, index
end

-- Adds the need of one index, or returns what is wrong (with %s for the name): two different
-- conditions on the same job contradict each other.
local function add_need(adding, index, on, is_token)
    local earlier = adding.on[index]
    if not earlier then
        adding.on[index] = on
        adding.list[#adding.list + 1] = { job = index, on = on }
    elseif earlier ~= on then
        if is_token then
            return ("uses an output of %%s, so it cannot need it with on = \"%s\"; "
                .. "a function may, and read ctx.outputs"):format(earlier)
        end
        return ("needs %%s with on = \"%s\" and with on = \"%s\""):format(earlier, on)
    end
end

local function add_range(state, def, adding, need, is_token)
    local name = need.name or need.def.name
    if need.def and need.def.owner ~= state.owner then
        state.problems:add(def, ("%s needs %s of another file"):format(
            subject(def), subject(need.def)))
        return
    end
    local first, last = range_of(state, need)
    if not first then
        state.problems:add(def, ("%s needs unknown job %s%s"):format(
            subject(def), text.name(name), hint_for(state, name)))
        return
    end
    if first <= def.last and last >= def.first then
        state.problems:add(def, subject(def) .. " needs itself")
        return
    end
    for index = first, last do
        local conflict = add_need(adding, index, need.on, is_token)
        if conflict then
            state.problems:add(def, subject(def) .. " " .. conflict:format(text.name(name)))
            return
        end
    end
end

-- The tokens in argv, then those in env by the names of their variables.
local function tokens_of(def)
    local tokens, by_variable = {}, nil
    for _, entry in ipairs(def.values.run and def.values.run.argv or NONE) do
        if type(entry) == "table" then tokens[#tokens + 1] = entry end
    end
    for name, entry in next, def.values.env or NONE do
        if entry.token then
            by_variable = by_variable or {}
            by_variable[name] = entry.token
        end
    end
    for _, name in ipairs(by_variable and text.sorted_keys(by_variable) or NONE) do
        tokens[#tokens + 1] = by_variable[name]
    end
    return tokens
end

local function resolve_needs(state)
    for _, def in ipairs(state.defs) do
        local adding = { on = {}, list = {} }
        for _, need in ipairs(def.values.needs or {}) do
            add_range(state, def, adding, need, false)
        end
        for _, token in ipairs(tokens_of(def)) do
            add_range(state, def, adding, { def = token.def, on = "success" }, true)
        end
        def.needs = adding.list
        state.edges = state.edges + #def.needs * (def.last - def.first + 1)
        if state.edges > build.MAX_NEEDS then
            state.problems:add(def, ("more than %d dependencies in one file; "):format(
                build.MAX_NEEDS) .. "put a job between the groups that wait for each other")
            return false
        end
    end
    return true
end

local function instance_name(state, index)
    local def = state.def_of[index]
    local combos = def.values.matrix
    return combos and def.name .. combos[index - def.first + 1].label or def.name
end

local function cycle_text(state, cycle)
    local names = {}
    for i, index in ipairs(cycle) do
        if i > MAX_CYCLE_SHOWN then
            names[i] = ("... %d more ..."):format(#cycle - MAX_CYCLE_SHOWN)
            break
        end
        names[i] = text.escape(text.shorten(instance_name(state, index), 60))
    end
    names[#names + 1] = names[1]
    return "dependency cycle: " .. table.concat(names, " -> ")
end

local function check_cycles(state)
    local needs_of = {}
    for index = 1, state.count do needs_of[index] = state.def_of[index].needs end
    local cycle = graph.find_cycle(state.count, needs_of)
    if cycle then state.problems:add_global(cycle_text(state, cycle)) end
end

local function copy(value)
    if type(value) ~= "table" then return value end
    local result = {}
    for key, inner in next, value do result[key] = copy(inner) end
    return result
end

local function argv_of(entries)
    local argv = {}
    for i, entry in ipairs(entries) do
        argv[i] = type(entry) == "table" and { job = entry.def.first, key = entry.key } or entry
    end
    return argv
end

local function by_name(a, b)
    return a.name < b.name
end

-- Fields that are nil would take their place in memory, a hundred thousand times.
local function variable_of(name, entry)
    if entry.value then return { name = name, value = entry.value } end
    if entry.unset then return { name = name, unset = true } end
    if entry.secret then return { name = name, secret = entry.secret } end
    return { name = name, job = entry.token.def.first, key = entry.token.key }
end

local function env_of(variables, combo)
    local list = {}
    for name, entry in next, variables or NONE do
        list[#list + 1] = variable_of(name, entry)
    end
    for name, value in next, combo and combo.env or NONE do
        list[#list + 1] = { name = name, value = value }
    end
    if #list > 1 then table.sort(list, by_name) end
    return list
end

-- Shell text for a shell of one's own is its last argument.
local function command_of(values)
    local run, shell = values.run, values.shell
    if run.argv then return "argv", nil, argv_of(run.argv) end
    if run.kind == "lua" or not shell then return run.kind, run.command end
    local argv = copy(shell)
    argv[#argv + 1] = run.command
    return "argv", nil, argv
end

local function spec_of(def, combo)
    local values = def.values
    local kind, command, argv = command_of(values)
    local spec = {
        name = combo and def.name .. combo.label or def.name, line = def.line,
        file = def.unit and def.unit.display, kind = kind, command = command, argv = argv,
        env = env_of(values.env, combo), needs = copy(def.needs),
        stdin = values.stdin and values.stdin.text, stdin_file = values.stdin and values.stdin.file,
    }
    for _, row in ipairs(schema.job_keys) do
        if row.field then
            local value = values[row.name]
            if value == nil then value = row.default end
            spec[row.field] = type(value) == "table" and copy(value) or value
        end
    end
    return spec
end

local function specs_of(defs, folders)
    local specs = {}
    for _, def in ipairs(defs) do
        for _, combo in ipairs(def.values.matrix or { false }) do
            local spec = spec_of(def, combo)
            if folders then spec.cwd = spec.cwd or def.home.dir end
            specs[#specs + 1] = spec
        end
        def.values = nil -- a plan may be large: not twice in memory for longer than necessary
    end
    return specs
end

--- The jobs of a plan in the order of their definition, or nil when `problems` has grown.
-- `definer` is what jobs/define.lua collected; opts.folders: jobs without a cwd get their file's.
function build.jobs(definer, problems, opts)
    local state = {
        defs = definer.defs, by_name = definer.by_name, owner = definer.owner, problems = problems,
        def_of = {}, instances = {}, count = 0, edges = 0,
    }
    place(state)
    if resolve_needs(state) then check_cycles(state) end
    if problems:count() > 0 then return nil end
    return specs_of(definer.defs, opts.folders)
end

return build
