-- What is known of a run while it runs, how long it may take, and the block that shows it.

local block = require "queuectl.view.block"
local eta = require "queuectl.view.eta"
local groups = require "queuectl.view.groups"
local run_state = require "queuectl.view.run_state"
local t = require "support"
local text = require "queuectl.view.text"

local function plan(list)
    local jobs, index = {}, {}
    for i, job in ipairs(list) do
        jobs[i], index[job[1]] = { name = job[1], needs = {} }, i
        for k, need in ipairs(job[2] or {}) do
            jobs[i].needs[k] = { job = index[need], on = job.on or "success" }
        end
    end
    return jobs
end

local function numbered(n, name)
    local list = {}
    for i = 1, n do list[i] = { (name or "j%d"):format(i) } end
    return plan(list)
end

-- Feeds events "picked NAME", "completed NAME" … one a second from second 1 on.
local function feed(state, jobs, events)
    local seq = {}
    for i, job in ipairs(jobs) do seq[job.name] = i end
    for at, words in ipairs(events) do
        local what, name = words:match("^(%l+) (.*)$")
        local is_end = what == "completed" or what == "dead"
        state:apply({ event = what, name = name, job = "id" .. seq[name], seq = seq[name],
            attempt = 1, left = is_end and state.left - 1 or nil }, at)
    end
    return state
end

local function new(jobs, opts)
    opts = opts or {}
    return run_state.new({ total = #jobs, left = opts.left or #jobs, jobs = jobs,
        times = opts.times, slots = opts.slots or 2, finished = opts.finished }, 0)
end

describe("groups.label", function()
    for name, label in pairs { ["test[db=pg]"] = "test[…]", ["index-12"] = "index-…",
        ["v2-12-x"] = "v…-…-x", ["v2[os=a]"] = "v2[…]", plain = "plain", ["a[b"] = "a[b" } do
        it(("of %s is %s"):format(name, label), function()
            assert.equal(label, groups.label(name))
        end)
    end

    it("of one alone is its name", function()
        local list, of = groups.of { "a1", "b1", "b2", "c[x=1]" }
        local labels = {}
        for i, group in ipairs(list) do labels[i] = group.label .. "/" .. #group.members end
        assert.same({ "a1/1", "b…/2", "c[x=1]/1" }, labels)
        assert.equal(list[2], of[3])
    end)
end)

describe("the state of a run", function()
    it("counts by group", function()
        local jobs = plan { { "a[1]" }, { "a[2]" }, { "a[3]" }, { "b" } }
        local state = feed(new(jobs), jobs, { "picked a[1]", "picked a[2]", "completed a[1]",
            "dead a[2]", "picked a[3]", "failed a[3]", "picked b" })
        local group = state.by_label["a[…]"]
        assert.same({ 3, 2, 0, 1 }, { group.total, group.done, group.running, group.failed })
        assert.same({ 1, 1, 1, 2 }, { state.completed, state.failed, state.retries, state.left })
        assert.equal(1, #state:running_list())
    end)

    it("knows what is skipped, which has no events", function()
        local jobs = plan { { "a" }, { "b", { "a" } }, { "c", { "b" } },
            { "e", { "b" }, on = "done" }, { "d", { "a" }, on = "failure" },
            { "f", { "b" }, on = "failure" }, { "g", { "d" } } }
        local state = feed(new(jobs), jobs, { "picked a", "dead a" })
        assert.same({ a = true, b = true, c = true }, state.settled)
        state = feed(new(jobs), jobs, { "picked a", "completed a" })
        assert.same({ a = true, d = true, g = true }, state.settled)
    end)

    it("grows when jobs add jobs", function()
        local jobs = numbered(2)
        local state = feed(new(jobs), jobs, { "picked j1" })
        state:apply({ event = "completed", name = "j1", job = "x", seq = 1, left = 4 }, 2)
        assert.equal(5, state.total)
        state:apply({ event = "picked", name = "new", job = "y", seq = 9, attempt = 1 }, 3)
        assert.equal("new", state:running_list()[2] and state:running_list()[2].label
            or state:running_list()[1].label)
    end)

    it("goes on where an earlier worker ended", function()
        local jobs = numbered(3, "j[%d]")
        local state = new(jobs, { left = 1, finished = { ["j[1]"] = true, ["j[2]"] = true } })
        assert.equal(2, state.by_label["j[…]"].done)
        feed(state, jobs, { "picked j[3]" })
        state:forget_running()
        assert.same({}, state:running_list())
        assert.equal(0, state.by_label["j[…]"].running)
    end)
end)

describe("the time left", function()
    it("is unknown where there is too little to go by", function()
        local jobs = numbered(100)
        local state = new(jobs)
        assert.is_nil(state:seconds_left({}, 5))
        feed(state, jobs, { "picked j1", "completed j1" })
        assert.is_nil(state:seconds_left({}, 5))
        assert.is_nil(new(jobs, { times = { j1 = 3 } }).eta, "one of a hundred is measured")
    end)

    it("follows the rate of this run where nothing was measured", function()
        local jobs = numbered(100)
        local events = {}
        for i = 1, 20 do
            events[#events + 1] = "picked j" .. i
            events[#events + 1] = "completed j" .. i
        end
        local state = feed(new(jobs), jobs, events)
        assert.near(160, state:seconds_left({}, 40), 0.01)
    end)

    it("is the work divided among the slots, but no less than the longest chain", function()
        local jobs = plan { { "a" }, { "b", { "a" } }, { "c" }, { "d" } }
        local times = { a = 10, b = 10, c = 2, d = 2 }
        assert.equal(20, new(jobs, { times = times, slots = 4 }):seconds_left({}, 0))
        assert.equal(24, new(jobs, { times = times, slots = 1 }):seconds_left({}, 0))
        local state = feed(new(jobs, { times = times, slots = 4 }), jobs, { "picked a" })
        assert.equal(17, state:seconds_left(state:running_list(), 4))
        -- It takes longer than ever: then what follows is what is known.
        assert.equal(10, state:seconds_left(state:running_list(), 50))
    end)

    it("agrees with what is computed anew, whatever happens", function()
        local r = t.rng()
        for _ = 1, 100 do
            local list, times, n = {}, {}, r(2, 12)
            for i = 1, n do
                local needs = {}
                for k = 1, i - 1 do if r() < 0.3 then needs[#needs + 1] = "j" .. k end end
                list[i], times["j" .. i] = { "j" .. i, needs }, r(1, 9)
            end
            local jobs, slots = plan(list), r(1, 4)
            local guess, open = eta.new(jobs, times, slots), {}
            for i = 1, n do open[i] = true end
            local function tail(i)
                local best = 0
                for k = i + 1, n do
                    for _, need in ipairs(jobs[k].needs) do
                        if need.job == i then best = math.max(best, tail(k)) end
                    end
                end
                return times["j" .. i] + best
            end
            for _ = 1, 20 do
                local i = r(1, n)
                if open[i] then guess:take(i) else guess:give_back(i) end
                open[i] = not open[i]
                local sum, bound = 0, 0
                for k = 1, n do
                    if open[k] then
                        sum, bound = sum + times["j" .. k], math.max(bound, tail(k))
                    end
                end
                assert.near(math.max(bound, sum / slots), guess:left({}, 0), 1e-9)
            end
        end
    end)
end)

describe("the block", function()
    local function lines(state, opts)
        opts = opts or {}
        return block.lines(state, { columns = opts.columns or 80, rows = opts.rows or 24,
            now = opts.now or 10, unseen = opts.unseen })
    end

    it("shows few jobs one by one", function()
        local jobs = plan { { "a" }, { "b" } }
        local state = feed(new(jobs), jobs, { "picked a", "picked b" })
        state:apply({ event = "progress", job = "x", seq = 2, fraction = 0.5, text = "half" }, 3)
        assert.same({ "  running   a  9.0 s", "  running   b  8.0 s   50 % half",
            "[                        ] 0/2  10 s" }, lines(state))
    end)

    it("shows many jobs in groups, with the slow ones", function()
        local jobs = numbered(5000, "resize[n=%d]")
        local state = feed(new(jobs), jobs, { "picked resize[n=1]", "picked resize[n=2]",
            "picked resize[n=3]", "dead resize[n=3]", "completed resize[n=1]" })
        assert.same({ "  resize[…]  2/5,000  1 running  1 failed", "  running   resize[n=2]  8.0 s",
            "[                        ] 2/5,000  1 failed  10 s" }, lines(state))
    end)

    it("names failures that are not on the screen any more", function()
        local jobs = plan { { "a" }, { "b" } }
        local state = feed(new(jobs), jobs, { "picked a", "dead a" })
        assert.equal("  failed    a", lines(state, { unseen = { "a" } })[1])
        state.failed = 7
        assert.equal("  failed    a, b, c, … 7 in all",
                     lines(state, { unseen = { "a", "b", "c", "d" } })[1])
    end)

    it("fits into any terminal, with names of any width", function()
        local r = t.rng()
        local wide = { "図面[n=%d]", "a very long name of a job, such as nobody would type %d",
            "x%d", "é́é[%d]", "single-%dx[y" }
        for _ = 1, 200 do
            local list = {}
            for i = 1, r(1, 200) do list[i] = { wide[r(1, #wide)]:format(i) } end
            local jobs, events = plan(list), {}
            for _ = 1, r(0, 60) do
                local name = jobs[r(1, #jobs)].name
                events[#events + 1] = "picked " .. name
                local dice = r(1, 5)
                if dice <= 2 then
                    events[#events + 1] = (dice == 1 and "completed " or "dead ") .. name
                end
            end
            local state = feed(new(jobs), jobs, events)
            local columns, rows = r(20, 120), r(3, 50)
            local shown = lines(state, { columns = columns, rows = rows, now = 100,
                unseen = state.failures })
            assert(#shown < rows and #shown <= 11, #shown .. " lines in " .. rows)
            for _, line in ipairs(shown) do
                assert(text.width(line) < columns, line .. " in " .. columns)
            end
        end
    end)

    it("costs little with ten thousand jobs", function()
        local jobs = numbered(10000, "resize[n=%d]")
        local times = {}
        for i = 1, 10000 do times[jobs[i].name] = i % 10 end
        local state = new(jobs, { times = times, slots = 64 })
        for i = 1, 64 do
            state:apply({ event = "picked", name = jobs[i].name, job = "x", seq = i }, 1)
        end
        local before = os.clock()
        for i = 1, 100 do lines(state, { now = i }) end
        local each = (os.clock() - before) / 100
        assert(each < 0.005, each .. " s a frame")
    end)
end)
