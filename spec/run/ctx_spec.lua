-- What a Lua job may do, in a real process: programs, shell text, JSON, files, being stopped.

local t = require "support"
local project = require "run.project"

-- Runs one job with this body, which starts on line 2; its project and its row of the list.
local function run(body, keys, code)
    local p = project.new(("job 'a' { retries = 0, %s run = function(job, ctx)\n%s\nend }")
        :format(keys or "", body))
    p:run(code or 0)
    return p, p:jobs().a
end

local function outputs(body, keys)
    return run(body, keys):show("a").outputs
end

-- The first line of why it failed, with the file's name without its folder.
local function failure(body, keys)
    local _, job = run(body, keys, 1)
    return (job.last_error:match("^[^\n]*"):gsub("^[^ ]*/jobs.lua:", "jobs.lua:"))
end

describe("ctx.exec", function()
    it("hands on lines while the program runs", function()
        -- The program goes on only when its first line has been seen.
        assert.same({ seen = "first,second", code = "0" }, outputs [[
            local seen = {}
            local r = ctx.exec({ "sh", "-c",
                "echo first; until [ -e go ]; do sleep 0.01; done; printf second" }, {
                timeout = 30, stream = function(line)
                    seen[#seen + 1] = line
                    io.open("go", "w"):close()
                end })
            return { seen = table.concat(seen, ","), code = r.exit_code }]])
    end)

    it("hands on lines to the job's own output", function()
        local p = run [[
            print "before"
            ctx.sh("echo out; echo err >&2; printf last", { stream = true })
            print "after"]]
        local log = p:logs("a")
        for _, text in ipairs { "before\n", "out\n", "err\n", "lastafter\n" } do
            assert.matches(text, log, 1, true)
        end
    end)

    it("ends a program whose lines made the function raise", function()
        local p, job = run([[
            ctx.exec({ "sh", "-c", "echo $$; sleep 1000 & wait" }, {
                env = { MARK = "left-by-stream" }, stream = function(line) error("saw it") end })]],
            nil, 1)
        assert.matches("jobs.lua:3: saw it", job.last_error, 1, true)
        assert.same({}, t.processes "left-by-stream")
        assert.equal("dead", p:jobs().a.state)
    end)

    it("keeps the beginning and the end of much output", function()
        assert.same({ size = "8388608", truncated = "false" }, outputs [[
            local r = ctx.exec { "head", "-c", "8388608", "/dev/zero" }
            return { size = #r.stdout, truncated = r.truncated }]])
        assert.same({ out = "01234\n[... 999990 bytes left out ...]\nvwxyz", truncated = "true" },
            outputs [[
                local r = ctx.sh("printf 01234; head -c 999990 /dev/zero; printf vwxyz",
                    { max_output = 10 })
                return { out = r.stdout, truncated = r.truncated }]])
        assert.equal("jobs.lua:2: head -c 8388609 /dev/zero printed 8388609 bytes on stdout, "
            .. "of which 8388608 are kept; give max_output = bytes, or stream",
            failure [[return { n = #ctx.exec({ "head", "-c", "8388609", "/dev/zero" }).stdout }]])
    end)

    it("has both streams whole, however they alternate", function()
        assert.same({ out = "200000", err = "200000" }, outputs [[
            local r = ctx.sh("i=0; while [ $i -lt 20000 ]; do echo 123456789; "
                .. "echo 987654321 >&2; i=$((i+1)); done")
            return { out = #r.stdout, err = #r.stderr }]])
    end)

    it("ends a program that does not listen to TERM, with all it started", function()
        local p, job = run([[
            local r = ctx.sh("trap '' TERM; sleep 1000 & wait; sleep 1000",
                { timeout = "100ms", kill_after = "100ms", env = { MARK = "left-by-exec" } })
            return { signal = r.signal, timed_out = r.timed_out, soon = r.duration < 30 }]])
        assert.same({ signal = "9", timed_out = "true", soon = "true" }, p:show("a").outputs)
        assert.equal("completed", job.state)
        assert.same({}, t.processes "left-by-exec")
    end)

    it("ends a program that closed its output when its time is up", function()
        assert.same({ signal = "15", timed_out = "true" }, outputs [[
            local r = ctx.sh("exec >&- 2>&-; exec sleep 1000", { timeout = "100ms" })
            return { signal = r.signal, timed_out = r.timed_out }]])
    end)

    it("reads its input from a file", function()
        assert.same({ out = "from a file" }, outputs [[
            ctx.fs.write("in", "from a file")
            return { out = ctx.exec({ "cat" }, { stdin = { file = "in" } }).stdout }]])
        assert.equal("jobs.lua:2: ctx.exec: cannot run cat: stdin: nope: No such file or directory",
            failure [[ctx.exec({ "cat" }, { stdin = { file = "nope" } })]])
    end)
end)

describe("ctx.sh.quote", function()
    it("brings any text through the shell unchanged", function()
        assert.same({ count = "10" }, outputs [==[
            local nasty = { "", "it's", "'", "''", "a\nb", "$(touch x)`touch x`", "\\", "-n",
                "* ? [a] ~ {a,b} !! # ; & | < >", "" }
            for byte = 1, 255 do nasty[10] = nasty[10] .. string.char(byte) end
            for i, text in ipairs(nasty) do
                local r = ctx.sh("printf %s " .. ctx.sh.quote(text), { check = true })
                assert(r.stdout == text, i)
            end
            assert(not ctx.fs.exists "x")
            return { count = #nasty }]==])
    end)
end)

describe("ctx.json", function()
    it("reads what other programs write and writes what they read", function()
        assert.same({ text = '{"list":[],"n":null,"o":{},"s":"\195\169\\n"}' }, outputs [[
            local r = ctx.exec({ "printf", "%s",
                '{ "s": "\\u00e9\\n", "list": [ ], "o": {}, "n": null }' }, { check = true })
            return { text = ctx.json.encode(ctx.json.decode(r.stdout)) }]])
        assert.equal("jobs.lua:2: ctx.json.decode: Expected value but found invalid token at "
            .. "line 2, column 6", failure [[ctx.json.decode '{\n"a": tru}']])
    end)
end)

describe("ctx.fs", function()
    it("reads and writes files whole", function()
        local p = run [[
            local bytes = ""
            for byte = 0, 255 do bytes = bytes .. string.char(byte) end
            ctx.fs.write("f", bytes)
            assert(ctx.fs.read "f" == bytes)
            ctx.fs.write("f", 12)
            assert(ctx.fs.read "f" == "12")
            ctx.sh("chmod 750 f; ln -s f link", { check = true })
            ctx.fs.write("link", "through")
            assert(ctx.fs.read "f" == "through")
            ctx.fs.write("/dev/null", "nothing")
            ctx.fs.write("listing",
                ctx.sh("stat -c '%a %F' f link /dev/null; ls -d f* l*").stdout)]]
        assert.equal("750 regular file\n777 symbolic link\n666 character special file\n"
            .. "f\nlink\n", p:read("listing"))
        assert.equal("644\n", t.run({ "stat", "-c", "%a", p.dir .. "/listing" }).out)
    end)

    it("knows what is there", function()
        assert.same({ list = "[\"a\",\"d\",\"dead\"]", glob = '["t/a","t/d"]', none = "[]",
            a = "file 5", d = "dir", there = "true", dead = "false", no = "false", nothing = "nil",
            isdir = "true false", new = "true" }, outputs [[
            ctx.fs.mkdir "t/d/e"
            ctx.fs.mkdir "t/d"
            ctx.fs.write("t/a", "12345")
            ctx.sh("ln -s nowhere t/dead", { check = true })
            local a = ctx.fs.stat "t/a"
            return { list = ctx.json.encode(ctx.fs.list "t"),
                glob = ctx.json.encode(ctx.fs.glob "t/{a,d,x}"),
                none = ctx.json.encode(ctx.json.list(ctx.fs.glob "*.none")),
                a = a.kind .. " " .. a.size, d = ctx.fs.stat("t/").kind,
                there = ctx.fs.exists "t/a", dead = ctx.fs.exists "t/dead",
                no = ctx.fs.exists "t/a/b", nothing = tostring(ctx.fs.stat "none"),
                isdir = tostring(ctx.fs.is_dir "t") .. " " .. tostring(ctx.fs.is_dir "t/a"),
                new = math.abs(a.mtime - os.time()) < 60 }]])
    end)

    it("copies and moves files and trees", function()
        local p = run [[
            ctx.fs.mkdir "t/sub"
            ctx.fs.write("t/run.sh", "#!/bin/sh")
            ctx.sh("chmod 755 t/run.sh; ln -s run.sh t/link; echo deep >t/sub/f", { check = true })
            ctx.fs.copy("t", "copy")
            ctx.fs.copy("t/run.sh", "copy/sub/f")
            ctx.fs.copy("t", "copy")
            ctx.fs.move("t", "moved")
            ctx.fs.move("moved/sub/f", "copy/sub/g")]]
        assert.equal("copy\ncopy/link -> run.sh\ncopy/run.sh\ncopy/sub\ncopy/sub/f\ncopy/sub/g\n"
            .. "moved\nmoved/link -> run.sh\nmoved/run.sh\nmoved/sub\n",
            t.run({ "sh", "-c", "find copy moved | LC_ALL=C sort | while read f; do "
                .. "[ -L $f ] && echo \"$f -> $(readlink $f)\" || echo $f; done" },
                { cwd = p.dir }).out)
        assert.equal("deep\n", p:read "copy/sub/f")
        assert.equal("755\n", t.run({ "stat", "-c", "%a", p.dir .. "/copy/run.sh" }).out)
    end)

    it("removes trees and follows no link out of them", function()
        local p = run [[
            ctx.fs.mkdir "keep"
            ctx.fs.write("keep/f", "kept")
            ctx.fs.mkdir "t/a/b"
            ctx.sh("ln -s ../keep t/link; ln -s ../../keep/f t/a/f; chmod 500 t/a/b; "
                .. "ln -s keep out; touch file", { check = true })
            assert(ctx.fs.remove "t" == true)
            assert(ctx.fs.remove "t" == false)
            assert(ctx.fs.remove "out/" == true)
            assert(ctx.fs.remove "file" == true)]]
        assert.equal("kept", p:read "keep/f")
        assert.is_false(t.exists(p.dir .. "/t"))
        assert.is_false(t.exists(p.dir .. "/out"))
    end)

    it("does not saw off the branch it sits on", function()
        local dir = t.tmpdir()
        t.mkdir_p(dir .. "/home/user")
        for path, why in pairs {
            ["/"] = "it holds the folder the job runs in",
            ["."] = "it is the folder the job runs in",
            [".."] = "it holds the folder the job runs in",
            ["../../.."] = "it holds the folder the job runs in",
            ["none/../."] = "it is the folder the job runs in",
            [dir .. "/home"] = "it holds the home folder",
            [dir .. "/home/user/"] = "it holds the home folder",
        } do
            assert.equal(("jobs.lua:3: ctx.fs.remove: %s: not removed: %s"):format(
                path:gsub("(.)/$", "%1"), why),
                failure(("ctx.fs.mkdir 'none'\nctx.fs.remove %q"):format(path),
                    ("env = { HOME = %q },"):format(dir .. "/home/user")))
        end
        assert.is_true(t.exists(dir .. "/home/user"))
    end)

    local wrong = {
        { "ctx.fs.read 'none'", "ctx.fs.read: none: No such file or directory" },
        { "ctx.fs.read '/'", "ctx.fs.read: /: Is a directory" },
        { "ctx.fs.read ''", "ctx.fs.read: the path is empty" },
        { "ctx.fs.read()", "ctx.fs.read: the path is missing" },
        { "ctx.fs.read 'a\\0b'", "ctx.fs.read: the path contains a NUL byte" },
        { "ctx.fs.read(5)", "ctx.fs.read: the path must be a string, not 5" },
        { "ctx.fs.write('none/f', '')", "ctx.fs.write: none/f: No such file or directory" },
        { "ctx.fs.write('/', '')", "ctx.fs.write: /: Is a directory" },
        { "ctx.fs.write('f')", "ctx.fs.write: what to write to f must be a string, "
            .. "number or boolean, not nil" },
        { "ctx.fs.mkdir 'jobs.lua/x'", "ctx.fs.mkdir: jobs.lua/x: Not a directory" },
        { "ctx.fs.mkdir 'jobs.lua'", "ctx.fs.mkdir: jobs.lua: Not a directory" },
        { "ctx.fs.list 'none'", "ctx.fs.list: none: No such file or directory" },
        { "ctx.fs.list 'jobs.lua'", "ctx.fs.list: jobs.lua: Not a directory" },
        { "ctx.fs.copy('none', 'x')", "ctx.fs.copy: none: No such file or directory" },
        { "ctx.fs.copy('jobs.lua')", "ctx.fs.copy: the second path is missing" },
        { "ctx.fs.copy('jobs.lua', '/tmp')",
            "ctx.fs.copy: /tmp: is a folder; give the name in it as well" },
        { "ctx.fs.copy('jobs.lua', 'none/f')", "ctx.fs.copy: none/f: No such file or directory" },
        { "ctx.fs.copy('jobs.lua', './jobs.lua')",
            "ctx.fs.copy: ./jobs.lua: is the same as jobs.lua" },
        { "ctx.fs.copy('.', 'copy')", "ctx.fs.copy: copy: is inside of ." },
        { "ctx.fs.mkdir 'deep/er' ctx.fs.copy('deep', 'deep/er/new/one')",
            "ctx.fs.copy: deep/er/new/one: is inside of deep" },
        { "ctx.fs.move('.', 'none/x/y')", "ctx.fs.move: none/x/y: is inside of ." },
        { "ctx.fs.move('none', 'x')", "ctx.fs.move: none: No such file or directory" },
        { "ctx.fs.move('jobs.lua', 'none/f')", "ctx.fs.move: none/f: No such file or directory" },
        { "ctx.fs.move('jobs.lua', '/tmp')",
            "ctx.fs.move: /tmp: is a folder; give the name in it as well" },
    }
    it("says what is wrong", function()
        local text = {}
        for i, case in ipairs(wrong) do
            text[i] = ("job 'j%d' { retries = 0, run = function(_, ctx) %s end }"):format(i,
                case[1])
        end
        local p = project.new(table.concat(text, "\n"))
        p:run(1)
        local jobs = p:jobs()
        for i, case in ipairs(wrong) do
            local told = jobs["j" .. i].last_error:match("^[^\n]*")
            assert.equal(("jobs.lua:%d: %s"):format(i, case[2]),
                (told:gsub("^[^ ]*/jobs.lua:", "jobs.lua:")))
        end
    end)

    it("lends a folder until the end of the job", function()
        local body = [[
            local dir = ctx.fs.temp_dir()
            ctx.fs.mkdir(dir .. "/a/b")
            assert(ctx.fs.temp_dir() ~= dir)
            assert(ctx.fs.stat(dir).kind == "dir")
            ctx.fs.write("where", dir)]]
        for _, ending in ipairs { "", "error 'x'", "return ctx.fail 'x'" } do
            local p = run(body .. "\n" .. ending, nil, ending == "" and 0 or 1)
            assert.matches("/queuectl%-%w+$", p:read "where")
            assert.is_false(t.exists(p:read "where"))
        end
    end)
end)

describe("TERM", function()
    it("is seen by a job that asks whether it is cancelled", function()
        local p = run([[
            while not ctx.cancelled() do ctx.exec { "true" } end
            ctx.fs.write("cleaned", "up")]], "timeout = '300ms', kill_after = '30s',", 1)
        assert.equal("up", p:read "cleaned")
    end)

    it("is passed on to the program that such a job runs", function()
        local p = run([[
            assert(not ctx.cancelled())
            local r = ctx.exec { "sleep", "1000" }
            ctx.fs.write("ended", r.signal .. " " .. tostring(ctx.cancelled()))
            -- What is started to clean up is left alone.
            ctx.fs.write("cleaned", ctx.sh("sleep 0.05; echo up").stdout)]],
            "timeout = '300ms', kill_after = '30s',", 1)
        assert.equal("15 true", p:read "ended")
        assert.equal("up\n", p:read "cleaned")
    end)

    it("ends what such a job starts before it has looked again", function()
        local p = run([[
            assert(not ctx.cancelled())
            local signals = {}
            for i = 1, 3 do signals[i] = ctx.exec({ "sleep", "1000" }).signal end
            ctx.fs.write("ended", table.concat(signals, " "))
            assert(ctx.cancelled())]], "timeout = '300ms', kill_after = '30s',", 1)
        assert.equal("15 15 15", p:read "ended")
    end)

    it("ends a job that never asks", function()
        local p = run([[
            ctx.fs.write("started", "")
            while true do ctx.exec { "true" } end]], "timeout = '300ms', kill_after = '60s',", 1)
        assert.is_true(t.exists(p.dir .. "/started"))
        assert.matches("^timed out after 0.3 s", p:jobs().a.last_error)
        assert.not_matches("killed", p:jobs().a.last_error)
    end)
end)
