-- retry --latest: a job as its file says now.

local t = require "support"
local project = require "run.project"

local FILE = [[
    local who = param "who" { default = "all" }
    local first = job "first" { run = "echo v=1 >>$QUEUECTL_OUTPUT", outputs = { "v" } }
    job "bad" { needs = first, retries = 0, run = "echo old >>$WITNESS; false" }
    job "after" { needs = "bad", run = "echo after >>$WITNESS" }
]]

local function failed(text)
    local p = project.new(text or FILE)
    p:run(1, "-p", "who=me")
    return p, p:jobs().bad.id
end

local function latest(p, id, code, ...)
    local r = p:q("retry", "--latest", id, ...)
    assert.equal(code, r.code, r.out .. r.err)
    return r
end

local function work(p) assert.equal(0, p:q("worker", "start", "--until-empty").code) end

describe("retry --latest", function()
    it("runs a job as its file says now, with values of other jobs and the parameters of its run",
        function()
        local p, id = failed()
        p:write((FILE:gsub("run = \"echo old >>%$WITNESS; false\"",
            'run = { "sh", "-c", "echo new $0 $1 $E >>$WITNESS", first.out.v, who }, '
            .. 'env = { E = first.out.v }')))
        local r = latest(p, id, 0)
        assert.equal(("Job %s moved from the dead letter queue to pending\n"):format(id), r.out)
        work(p)
        assert.same({ "old", "new 1 me 1", "after" }, p:witnessed())
        local job = p:show "bad"
        assert.same({ "completed", 2 }, { job.state, #job.history })
        assert.equal("ok", t.json(p:q("runs", "show", "last", "--json").out).state)
    end)

    it("runs new Lua, and leaves the other jobs of the run what they are", function()
        local text = [[
            local m = require "m"
            local first = job "first" { run = "true" }
            job "bad" { needs = first, retries = 0, run = function() m.say("bad") end }
            job "after" { needs = "bad", retries = 0, run = function() m.say("after") end }
        ]]
        local p = project.new(text)
        p:write("return { say = function() error 'broken' end }", "m.lua")
        p:run(1)
        p:write([[return { say = function(word)
            local file = io.open(os.getenv "WITNESS", "a")
            file:write("new ", word, "\n")
            file:close()
        end }]], "m.lua")
        latest(p, p:jobs().bad.id, 0)
        work(p)
        assert.same({ "new bad" }, p:witnessed())
        assert.matches("broken", p:show("after").last_error)
        latest(p, p:jobs().after.id, 0)
    end)

    it("keeps running in the run of the job", function()
        local p, id = failed()
        p:write((FILE:gsub("false", "true")))
        latest(p, id, 0)
        assert.equal(3, p:count())
        work(p)
        assert.same({ "old", "old", "after" }, p:witnessed())
        -- Completed ones only when asked to.
        p:write((FILE:gsub("echo old >>%$WITNESS; false", "echo newest >>$WITNESS")))
        assert.equal(("queuectl: job '%s' is completed; to run it once more: queuectl retry "
            .. "--again\n"):format(id), latest(p, id, 4).err)
        assert.equal("echo old >>$WITNESS; true", p:show("bad").command)
        latest(p, id, 0, "--again")
        work(p)
        assert.equal("newest", p:witnessed()[4])
    end)

    it("names what is in the way, and changes nothing", function()
        local p, id = failed()
        p:write((FILE:gsub('"bad"', '"bda"')))
        assert.equal("queuectl: job 'bad' is not defined any more (did you mean 'bda'?); retry it "
            .. "without --latest\n", latest(p, id, 3).err)
        p:write "jbo()"
        assert.equal("jobs.lua:1: undefined variable 'jbo' (did you mean 'job'?)\n",
            latest(p, id, 78).err)
        os.remove(p.dir .. "/jobs.lua")
        assert.equal(("queuectl: %s/jobs.lua: No such file or directory; put the file back, or "
            .. "retry without --latest\n"):format(p.dir), latest(p, id, 3).err)
        p:write((FILE:gsub('job "bad" {%s*', [[
            local more = job "more" { run = "true", outputs = { "x" } }
            job "bad" { env = { X = more.out.x }, ]])))
        assert.equal("queuectl: its value 'x' comes from job 'more', which is not part of run 1; "
            .. "run the file anew\n", latest(p, id, 4).err)
        assert.equal("dead", p:show("bad").state)
    end)

    it("is for jobs of a file that do not run", function()
        local p = project.new [[ job "hold" { kill_after = "1s",
            run = "echo hold >>$WITNESS; while [ ! -e go ]; do sleep 0.02; done" } ]]
        assert.equal(0, p:q("enqueue", "--id", "alone", "false").code)
        assert.equal("queuectl: job 'alone' comes from no jobs file; leave out --latest, or "
            .. "enqueue it anew\n", latest(p, "alone", 4).err)
        assert.equal("queuectl: no job 'none'; see them with: queuectl list\n",
            latest(p, "none", 3).err)
        p = project.new(p:read "jobs.lua")
        local run = p:spawn("run", "jobs.lua")
        t.eventually(function() return #p:witnessed() == 1 end, 20)
        local id = p:jobs().hold.id
        assert.equal(("queuectl: job '%s' is processing; wait for its end, or cancel it first\n")
            :format(id), latest(p, id, 4).err)
        p:write("", "go")
        assert.equal(0, run:wait())
    end)
end)
