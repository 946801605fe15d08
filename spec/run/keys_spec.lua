-- Keys of a job that the worker gives their meaning: when, limits, secrets, artifacts, max_age; and
-- what a function may return or enqueue.

local project = require "run.project"

local SECRET = { SPEC_SECRET = "hunter2-hunter2" }

describe("when", function()
    it("is asked before a command, which then ends as any other", function()
        local p = project.new [[
            job "yes" { run = "echo $0; exit 0", when = function() return true end }
            job "code" { run = "echo last words >&2; exit 3", retries = 0,
                         when = function() return true end }
            job "argv" { run = { "sh", "-c", "kill -9 $$" }, retries = 0,
                         when = function() return true end }
            job "no" { run = "echo ran > ran", when = function() return false end }
            job "bad" { run = "echo ran > ran", when = function() error "boom" end }
            job "after" { run = "true", needs = { { "no", on = "done" } } } ]]
        p:run(1)
        assert.same({ yes = "completed", code = "dead", argv = "dead", no = "skipped",
                      bad = "dead", after = "completed" }, p:states())
        assert.equal("sh\n", p:logs "yes")
        local code = p:show "code"
        assert.same({ "exit", 3, "exit 3: last words" },
                    { code.cause, code.exit_code, code.last_error })
        assert.equal("killed by signal 9 (KILL)", p:show("argv").last_error)
        assert.same({ "when", 0 }, { p:show("no").cause, p:show("no").attempts })
        assert.match("^when: jobs.lua:%d+: boom", p:show("bad").last_error)
        assert.is_false(pcall(p.read, p, "ran"))
    end)

    it("that gave no answer is asked at the next try, and once it said yes not again", function()
        local p = project.new [[
            defaults { retries = 2, backoff = { "list", "0s" } }
            local function asked(name)
                local file = assert(io.open(name, "a"))
                file:write("asked ")
                file:close()
            end
            job "exits" { run = "echo ran > ran", when = function() os.exit(0) end }
            job "hangs" { run = function() end, timeout = "200ms", retries = 1,
                          when = function() while true do end end }
            job "no_secret" { run = "echo ran > ran", env = { A = secret "env:NO_SUCH" },
                              retries = 1, when = function() return false end }
            job "command" { run = "echo ran >> command; exit 1",
                            when = function() asked "command" return true end }
            job "function" { run = function() asked "function" os.exit(1) end,
                             when = function() asked "function" return true end } ]]
        p:run(1)
        assert.same({ exits = "dead", hangs = "dead", no_secret = "dead", command = "dead",
                      ["function"] = "dead" }, p:states())
        assert.same({ 3, 2, 2 }, { p:show("exits").attempts, p:show("hangs").attempts,
                                   p:show("no_secret").attempts })
        assert.is_false(pcall(p.read, p, "ran"))
        assert.equal("asked ran\nran\nran\n", p:read "command")
        assert.equal("asked asked asked asked ", p:read "function")
        p:q("retry", p:show("command").id)
        p:q("worker", "start", "--until-empty")
        assert.match("^asked ran\nran\nran\nasked ran\n", p:read "command")
    end)
end)

describe("limits", function()
    it("hold for commands, functions and what a when lets go on", function()
        local p = project.new [[
            local limits = { files = 100, cpu = "10m", nice = 3 }
            local ASK = "ulimit -n; ulimit -t; nice"
            job "shell" { run = ASK, limits = limits }
            job "when" { run = ASK, limits = limits, when = function() return true end }
            job "lua" { limits = limits, run = function()
                local text = io.open("/proc/self/limits"):read("*a")
                print(text:match("open files%s+(%d+)")) print(text:match("cpu time%s+(%d+)"))
                print(io.open("/proc/self/stat"):read("*a"):match("%) %S" .. (" %S+"):rep(15)
                    .. " (%S+)"))
            end } ]]
        p:run(0)
        assert.equal("100\n600\n3\n", p:logs "shell")
        assert.equal("100\n600\n3\n", p:logs "when")
        assert.equal("100\n600\n3\n", p:logs "lua")
    end)

    it("say how much memory a function may hold, more than usual or less", function()
        -- The sanitizer's own reservations are beyond every such limit.
        if os.getenv "SPEC_ASAN_OPTIONS" then return end
        local p = project.new [[
            defaults { retries = 0 }
            local function hold(mebibytes)
                local held = {}
                for i = 1, mebibytes / 100 do held[i] = ("x"):rep(100 * 1024 * 1024 + i) end
            end
            job "more" { limits = { memory = "3G" }, run = function() hold(1200) end }
            job "usual" { needs = { { "more", on = "done" } }, run = function() hold(1200) end }
            job "less" { limits = { memory = "400M" }, run = function() hold(400) end } ]]
        p:run(1, "-j", "1")
        assert.same({ more = "completed", usual = "dead", less = "dead" }, p:states())
        assert.equal("not enough memory: a Lua job may hold 1 GiB", p:show("usual").last_error)
        assert.equal("not enough memory: a Lua job may hold 400 MiB", p:show("less").last_error)
    end)
end)

describe("a secret", function()
    it("is there in commands and functions, and nowhere else", function()
        local p = project.new [[
            defaults { retries = 0 }
            job "shell" { run = "echo $A", env = { A = secret "env:SPEC_SECRET" } }
            job "when" { run = "echo $A", env = { A = secret "env:SPEC_SECRET" },
                         when = function() print(os.getenv "A") return true end }
            job "lua" { env = { A = secret "env:SPEC_SECRET" }, run = function(_, ctx)
                ctx.progress(0.5, "with " .. os.getenv "A")
                ctx.log("info", os.getenv "A")
                return { key = os.getenv "A" }
            end }
            job "raise" { env = { A = secret "env:SPEC_SECRET" }, run = function()
                error("not with " .. os.getenv "A") end }
            job "adder" { env = { A = secret "env:SPEC_SECRET" }, run = function(_, ctx)
                ctx.enqueue { run = "echo " .. os.getenv "A" } end } ]]
        local got = p:run(1, "--output", "json", SECRET)
        assert.same({ shell = "completed", when = "completed", lua = "completed", raise = "dead",
                      adder = "dead" }, p:states())
        assert.equal("***\n", p:logs "shell")
        assert.equal("***\n***\n", p:logs "when")
        assert.equal("info: ***\n", p:logs "lua")
        assert.same({ key = "***" }, p:show("lua").outputs)
        assert.match("not with %*%*%*\n", p:show("raise").last_error)
        assert.equal("ctx.enqueue: the value of a secret stands in the new job:"
                     .. " give it the secret itself", p:show("adder").last_error)
        local t = require "support"
        assert.is_nil((got.out .. got.err):find(SECRET.SPEC_SECRET, 1, true))
        assert.equal("", t.run({ "grep", "-rlaF", SECRET.SPEC_SECRET, p.dir }).out)
    end)

    it("is not the name of an output, either", function()
        local p = project.new [[
            job "a" { env = { A = secret "env:SPEC_SECRET" },
                      run = function() return { [os.getenv "A"] = "x", other = "y" } end } ]]
        p:run(0, { SPEC_SECRET = "hunter2_hunter2" })
        assert.same({ ["***"] = "x", other = "y" }, p:show("a").outputs)
        local t = require "support"
        assert.equal("", t.run({ "grep", "-rlaF", "hunter2_hunter2", p.dir }).out)
    end)

    it("of one function is not there in the next", function()
        local p = project.new [[
            job "one" { env = { A = secret "file:key" },
                        run = function() print(#os.getenv "A") end }
            job "two" { needs = "one", run = function() print(os.getenv "A") end } ]]
        p:write("hunter2-hunter2\n", "key")
        p:run(0)
        assert.equal("15\n", p:logs "one")
        assert.equal("nil\n", p:logs "two")
    end)
end)

describe("artifacts", function()
    it("are shown with the job, and missed where they are not made", function()
        local p = project.new [[
            job "made" { run = "mkdir dist; echo x > dist/x.txt", artifacts = { "dist/*.txt" } }
            job "lua" { run = function() io.open("y", "w"):close() end, artifacts = { "y" } }
            job "not" { run = "true", retries = 0, artifacts = { "none/*.tar.gz" } } ]]
        p:run(1)
        assert.same({ { path = "dist/x.txt", bytes = 2 } }, p:show("made").artifacts)
        assert.same({ { path = "y", bytes = 0 } }, p:show("lua").artifacts)
        assert.same({ "outputs", "promised artifact 'none/*.tar.gz' was not made" },
                    { p:show("not").cause, p:show("not").last_error })
    end)
end)

describe("max_age", function()
    it("ends the tries that would come too late", function()
        local p = project.new [[
            job "old" { run = "exit 3", retries = 5, max_age = "1m", backoff = { "2h" } } ]]
        p:run(1)
        assert.equal("exit 3 (no further try: older than its max_age of 1m)",
                     p:show("old").last_error)
    end)
end)

describe("a function", function()
    it("may cancel its job, and add others", function()
        local p = project.new [[
            job "cancels" { run = function(_, ctx) return ctx.cancel("not on Sundays") end }
            job "adds" { run = function(_, ctx)
                ctx.enqueue { name = "added", run = { "sh", "-c", "nice" }, limits = { nice = 7 },
                              max_age = "1h" }
            end } ]]
        p:run(1)
        assert.same({ "cancelled", "not on Sundays" },
                    { p:show("cancels").state, p:show("cancels").last_error })
        assert.equal("7\n", p:logs "added")
    end)
end)
