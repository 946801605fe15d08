local core = require "queuectl.core"
local context = require "queuectl.context"
local format = require "queuectl.view.format"
local job_view = require "queuectl.view.job"
local json = require "queuectl.json"
local states = require "queuectl.states"
local suggest = require "queuectl.suggest"
local text = require "queuectl.view.text"

local WANTED = { "all" }
for i, state in ipairs(states.ALL) do table.insert(WANTED, i, state) end
local FIRST = 50

local function wanted_state(word)
    for _, state in ipairs(WANTED) do
        if state == word then return state ~= "all" and state or nil end
    end
    return nil, ("--state '%s': must be one of %s%s"):format(word:sub(1, 40),
        table.concat(WANTED, ", "), suggest.hint(word, WANTED))
end

-- Calls fn for each job, page by page; stops when fn returns false.
local function each(store, query, fn)
    repeat
        local page, next_page, code = store:list(query)
        if not page then return nil, next_page, code end
        for _, job in ipairs(page) do
            if fn(job) == false then return true end
        end
        query.after = next_page
    until not next_page
    return true
end

local PRINTERS = {
    json = function(ctx)
        local first = true
        ctx:print("[")
        return function(job)
            ctx:print((first and "\n" or ",\n") .. json.encode(job_view.json(job)))
            first = false
        end, function() ctx:print(first and "]\n" or "\n]\n") end
    end,
    jsonl = function(ctx)
        return function(job) ctx:print(json.encode(job_view.json(job)) .. "\n") end
    end,
    id = function(ctx)
        return function(job) ctx:print(job.id .. "\n") end
    end,
}

local function total(store, state)
    local counts, n = store:counts(), 0
    for name, count in pairs(counts or {}) do
        if not state or name == state then n = n + count end
    end
    return n
end

local function print_table(ctx, store, query, limit)
    local rows, now = {}, core.time()
    query.limit = math.min(limit, 1000)
    local ok, message, code = each(store, query, function(job)
        rows[#rows + 1] = job_view.row(job, now)
        return #rows < limit
    end)
    if not ok then return nil, message, code end
    if #rows == 0 then
        ctx:print(query.state and ("No job is %s.\n"):format(query.state) or "No jobs yet.\n")
        return true
    end
    ctx:print(text.table(job_view.headings, rows, ctx.columns))
    local more = not query.run and total(store, query.state) - #rows or 0
    if more > 0 then
        ctx:print(("… and %s more; see them with --limit N or on a pipe\n"):format(
            format.count(more)))
    end
    return true
end

local function limit_of(args)
    if not args.limit then return nil end
    local n = args.limit:find("^%d+$") and tonumber(args.limit)
    if n and n >= 1 and n <= 1e9 then return n end
    return nil, ("--limit '%s': must be a whole number from 1"):format(args.limit:sub(1, 40))
end

return {
    summary = "the jobs",
    setup = function(parser)
        parser:option("--state", "pending, processing, completed, failed, dead, waiting, held, "
            .. "cancelled, skipped or all"):argname("STATE"):default("all")
        parser:option("--run", "jobs of this run of a jobs file"):argname("N")
        parser:option("-n --limit", "at most so many"):argname("N")
    end,
    examples = { { "queuectl list --state dead", "the dead letter queue" },
        { "queuectl list -o id --state pending", "ids alone, for another command" } },
    run = function(ctx, args)
        local state, message = wanted_state(args.state)
        if message then return nil, message, context.USAGE end
        if args.run and not args.run:find("^[1-9]%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$") then
            return nil, ("--run '%s': must be the number of a run"):format(args.run:sub(1, 40)),
                context.USAGE
        end
        local limit
        limit, message = limit_of(args)
        if message then return nil, message, context.USAGE end
        local store, code
        store, message, code = ctx:store()
        if not store then return nil, message, code end
        if args.run then
            local run
            run, message, code = store:run(tonumber(args.run))
            if not run then
                return nil, message or ("no run %s"):format(args.run), code or context.NOT_FOUND
            end
        end
        local query = { state = state, run = tonumber(args.run), limit = 500 }
        local shape = ctx.json and "json" or ctx.options.output or (ctx.tty and "table" or "json")
        if shape == "table" then return print_table(ctx, store, query, limit or FIRST) end
        local print_job, close = PRINTERS[shape](ctx)
        local left = limit or math.huge
        local ok
        ok, message, code = each(store, query, function(job)
            print_job(job)
            left = left - 1
            return left > 0 and not ctx.output_failed
        end)
        if not ok then return nil, message, code end
        if close then close() end
        return true
    end,
}
