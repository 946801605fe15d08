local t = require "support"

describe("the specs' own support", function()
    it("runs on LuaJIT", function()
        assert.is_table(jit)
        assert.matches("LuaJIT", jit.version)
    end)

    it("knows the root and the build directory", function()
        assert.is_true(t.exists(t.root .. "/CMakeLists.txt"))
        assert.equal(t.build .. "/queuectl", t.binary)
    end)

    describe("run", function()
        it("keeps stdout, stderr and the exit code apart", function()
            local r = t.run("echo out; echo err >&2; exit 7")
            assert.same({ 7, "out\n", "err\n" }, { r.code, r.out, r.err })
            assert.is_nil(r.signal)
            assert.is_true(r.seconds >= 0 and r.seconds < 5)
        end)

        it("gives a list to the program as it is", function()
            local r = t.run { "printf", "%s|", "a b", "$HOME", "", "*" }
            assert.equal("a b|$HOME||*|", r.out)
        end)

        it("does not change bytes, and feeds stdin", function()
            local all = {}
            for byte = 0, 255 do all[#all + 1] = string.char(byte) end
            local data = table.concat(all):rep(4000)
            local r = t.run({ "cat" }, { stdin = data })
            assert.is_true(r.out == data)
        end)

        it("reads both streams while both are full", function()
            local r = t.run("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2")
            assert.same({ 300000, 300000 }, { #r.out, #r.err })
        end)

        it("does not mind a program that never reads its stdin", function()
            assert.equal(0, t.run({ "true" }, { stdin = ("x"):rep(1000000) }).code)
        end)

        it("has an empty stdin unless told otherwise", function()
            assert.equal("", t.run({ "cat" }).out)
        end)

        it("names the signal that ended it", function()
            local r = t.run("kill -TERM $$")
            assert.is_nil(r.code)
            assert.equal(t.signals.TERM, r.signal)
        end)

        it("sets and removes variables, and the directory", function()
            local dir = t.tmpdir()
            local env = { A = 5, HOME = false }
            local r = t.run("echo $A-${HOME-none}; pwd", { env = env, cwd = dir })
            assert.equal("5-none\n" .. dir .. "\n", r.out)
        end)

        it("does not hand a preloaded library on", function()
            assert.equal("none\n", t.run("echo ${LD_PRELOAD-none}").out)
        end)

        it("kills the group at the timeout and says what it was", function()
            local dir = t.tmpdir()
            local before = t.now()
            local ok, err = pcall(t.run, "echo hello; sleep 77 & echo $! > pid; wait",
                                  { timeout = 0.3, cwd = dir })
            assert.is_false(ok)
            assert.matches("still running after 0.3 s: sh %-c", err)
            assert.matches("stdout: hello", err)
            assert.is_true(t.now() - before < 5)
            local pid = tonumber(t.read_file(dir .. "/pid"))
            t.eventually(function() return not t.pid_alive(pid) end, 5, "sleep is gone")
        end)

        it("waits for whoever holds the output", function()
            local ok, err = pcall(t.run, "sleep 78 &", { timeout = 0.3 })
            assert.is_false(ok)
            assert.matches("output is still held open", err)
        end)

        it("raises when the program does not exist", function()
            assert.has_error(function() t.run { "no-such-program" } end,
                             "no-such-program: No such file or directory")
        end)

        it("leaves SIGPIPE as programs expect it", function()
            assert.equal(t.signals.PIPE, t.run("trap '' TERM; kill -PIPE $$").signal)
        end)

        it("leaks no descriptors", function()
            local r = t.run { "ls", "/proc/self/fd" }
            assert.equal("0\n1\n2\n3\n", r.out)
        end)
    end)

    describe("spawn", function()
        it("shows output as it comes and waits for the end", function()
            local h = t.spawn("echo ready; read line; echo got $line; exit 3", { stdin = true })
            t.eventually(function() return h:out() == "ready\n" end, 5, "ready")
            assert.is_true(h:running())
            h:write("word\n")
            assert.same({ 3 }, { h:wait(5) })
            assert.equal("ready\ngot word\n", h:out())
            assert.is_false(h:running())
        end)

        it("closes the input on request", function()
            local h = t.spawn({ "cat" }, { stdin = true })
            h:write("x")
            h:close_input()
            assert.equal(0, (h:wait(5)))
            assert.equal("x", h:out())
        end)

        it("sends signals", function()
            local h = t.spawn { "sleep", "79" }
            assert.is_true(t.pid_alive(h:pid()))
            h:kill "INT"
            local code, signal = h:wait(5)
            assert.is_nil(code)
            assert.equal(t.signals.INT, signal)
            assert.is_nil(h:kill "INT")
        end)

        it("raises if it does not end in time", function()
            local h = t.spawn { "sleep", "80" }
            assert.has_error(function() h:wait(0.05) end,
                             "still running after 0.05 s: sleep 80\nstdout: \nstderr: ")
        end)
    end)

    describe("the end of a spec", function()
        local pids = {}

        it("starts programs that will not go away by themselves", function()
            t.spawn("sleep 81 & setsid sleep 82 & trap '' TERM; sleep 83")
            t.eventually(function() return #t.processes("sleep\0008") >= 3 end, 5, "three sleeps")
            pids = t.processes("sleep\0008")
        end)

        it("kills them all, whatever session they are in", function()
            assert.is_true(#pids >= 3)
            for _, pid in ipairs(pids) do assert.is_false(t.pid_alive(pid)) end
        end)

        local kept
        it("keeps a program until the end of the file on request", function()
            kept = t.spawn({ "sleep", "84" }, { keep = true })
        end)

        it("has kept it", function()
            assert.is_true(kept:running())
        end)
    end)

    describe("eventually", function()
        it("returns the value", function()
            local n = 0
            assert.equal(3, t.eventually(function()
                n = n + 1
                return n == 3 and n
            end))
        end)

        it("raises with what was awaited and what was seen", function()
            local function fail() error("not there", 0) end
            local ok, err = pcall(t.eventually, fail, 0.02, "the end")
            assert.is_false(ok)
            assert.matches("not within 0.02 s: the end %(last error: not there%)", err)
        end)
    end)

    it("reads and writes files", function()
        local path = t.mkdir_p(t.tmpdir() .. "/a/b") .. "/file"
        assert.is_false(t.exists(path))
        t.write_file(path, "a\0b\r\n")
        assert.is_true(t.exists(path))
        assert.equal("a\0b\r\n", t.read_file(path))
    end)

    it("gives every caller a directory of its own", function()
        assert.not_equal(t.tmpdir(), t.tmpdir())
    end)

    it("asks SQLite", function()
        local store = t.store()
        assert.same({}, t.sql(store, "create table t(a, b)"))
        assert.same({ { "1", "x|y\nz" }, { "2", "" } },
                    t.sql(store, "insert into t values(1, 'x|y\nz'), (2, null); select * from t"))
        assert.has_error(function() t.sql(store, "select nothing") end)
    end)

    it("decodes JSON", function()
        assert.same({ a = { 1, "x" } }, t.json '{"a":[1,"x"]}')
    end)

    it("has a replayable generator", function()
        local a, b = t.rng(42), t.rng(42)
        for _ = 1, 1000 do
            local n = a(3, 9)
            assert.equal(n, b(3, 9))
            assert.is_true(n >= 3 and n <= 9)
        end
        assert.is_true(a() < 1)
        assert.equal(1, a(1))
    end)

    it("has two clocks", function()
        local now = t.now()
        assert.is_true(t.now() >= now)
        assert.is_true(math.abs(t.wall() - os.time()) < 2)
    end)

    it("loads the C modules", function()
        require("ffi").cdef "int64_t clock_wall_ms(void);"
        assert.is_true(math.abs(tonumber(t.core().clock_wall_ms()) - t.wall() * 1000) < 1000)
    end)
end)
