-- Each check must be able to fail: a planted violation is found, with its file and line.

local t = require "support"

-- A small copy of the project: the scripts, and the given files.
local function tree(files)
    local root = t.tmpdir()
    local copy = t.run { "cp", "-a", "scripts", "CMakeLists.txt", ".clang-format", ".clang-tidy",
                         ".luacheckrc", root }
    assert.equal(0, copy.code, copy.err)
    t.mkdir_p(root .. "/lua/queuectl")
    for path, text in pairs(files) do
        t.mkdir_p((root .. "/" .. path):match("^(.*)/"))
        t.write_file(root .. "/" .. path, text)
    end
    return root
end

local function check(name, files)
    return t.run { tree(files) .. "/scripts/check-" .. name }
end

local function assert_clean(r)
    assert.same({ 0, "", "" }, { r.code, r.out, r.err })
end

local function assert_found(r, ...)
    assert.equal("", r.err)
    assert.equal(1, r.code)
    local lines = {}
    for line in r.out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.same({ ... }, lines)
end

describe("check-layers", function()
    it("accepts includes from the same layer and below", function()
        assert_clean(check("layers", {
            ["core/util.c"] = '#include "util.h"\n#include <stdio.h>\n',
            ["core/worker.c"] = '#include "lease.h"\n#include "util.h"\n',
            ["core/store_sqlite_read.c"] = "#include <sqlite3.h>\n",
            ["core/script_api.c"] = "#include <lua.h>\n",
        }))
    end)

    it("finds an include from above", function()
        assert_found(check("layers", { ["core/loop.c"] = '\n#include "store.h"\n' }),
                     'core/loop.c:2: layer 1 includes "store.h" of layer 2')
    end)

    it("finds a file that is in no layer", function()
        local advice = "add it to the table in scripts/check-layers"
        assert_found(check("layers", { ["core/odd.c"] = '#include "even.h"\n' }),
                     "core/odd.c:1: has no layer: " .. advice,
                     'core/odd.c:1: "even.h" has no layer: ' .. advice)
    end)

    it("finds a library header where it does not belong", function()
        assert_found(check("layers", {
            ["core/store.h"] = "#include <sqlite3.h>\n",
            ["core/worker.c"] = "#  include <lua.h>\n",
        }), "core/store.h:1: <sqlite3.h> only in store_sqlite*",
            "core/worker.c:1: <lua.h> only in script* lua_job*")
    end)
end)

describe("check-calls", function()
    it("accepts calls in their place, names in comments and members", function()
        assert_clean(check("calls", {
            ["core/spawn.c"] = "int f(void) { return fork() + waitpid(1, 0, 0); }\n",
            ["core/script.c"] = "int f(void *L) { return lua_pcall(L, 0, 0, 0); }\n",
            ["core/main.c"] = "void f(void) { exit(1); }\n",
            ["core/util.c"] = '/* fork() */\nconst char *s = "exit(1)"; // wait()\n'
                .. "#define X fork()\nint f(struct ops *o) { return o->wait(1) + o.exit(); }\n",
            ["lua/queuectl/a.lua"] = '-- os.exit()\nreturn "os.exit", x.os.exit\n',
        }))
    end)

    it("finds a process started in the wrong place", function()
        local r = check("calls", { ["core/util.c"] = "\nint f(void) {\n    return fork();\n}\n" })
        assert.equal(1, r.code)
        assert.matches("^core/util.c:3: fork%(%) only in", r.out)
    end)

    for _, call in ipairs { "vfork()", "execve(a, b, c)", "waitid(a, b, c, d)", "system(a)",
                            "syscall(SYS_clone3)", "lua_pcall(L, 0, 0, 0)", "exit(1)", "_exit (1)",
                            "posix_spawn(a)" } do
        it("finds " .. call, function()
            local r = check("calls", { ["core/worker.c"] = "int x = " .. call .. ";\n" })
            assert.equal(1, r.code)
            assert.matches("^core/worker.c:1: ", r.out)
        end)
    end

    it("finds Lua that ends the program or starts another", function()
        assert_found(check("calls", { ["lua/queuectl/a.lua"] = "\nos.exit(1)\nio.popen 'x'\n" }),
                     "lua/queuectl/a.lua:2: os.exit is not for the program's own Lua",
                     "lua/queuectl/a.lua:3: io.popen is not for the program's own Lua")
    end)
end)

describe("check-size", function()
    local function c_function(lines, head)
        return (head or "int f(void)") .. " {\n" .. ("    x();\n"):rep(lines - 2) .. "}\n"
    end

    it("accepts what is exactly at the limits", function()
        local deep = "int f(int a, int b, int c, int d, int e, int (*g)(int, int)) {\n"
            .. "    if (a)\n        for (;;)\n            while (b)\n                c++;\n}\n"
        assert_clean(check("size", {
            ["core/util.c"] = c_function(60),
            ["core/heap.c"] = deep,
            ["core/job.c"] = ("int x;\n"):rep(600),
            ["core/loop.c"] = "// " .. ("ä"):rep(97) .. "\n",
            ["plugins/a.lua"] = ("x()\n"):rep(60),
            ["lua/queuectl/a.lua"] = "local function f()\n" .. ("x()\n"):rep(58) .. "end\n",
        }))
    end)

    it("finds a long C function, after anything else that has braces", function()
        local before = "struct a {\n    int b;\n};\nstatic const int t[] = {1, 2};\n\n"
        assert_found(check("size", { ["core/util.c"] = before .. c_function(61) }),
                     "core/util.c:6: f has 61 lines, limit 60")
    end)

    it("finds too many parameters", function()
        local head = "static int f(int a, int b, int c,\n             int d, int e, int g, int h)"
        assert_found(check("size", { ["core/util.c"] = c_function(5, head) }),
                     "core/util.c:1: f has 7 parameters, limit 6")
    end)

    it("finds deep nesting", function()
        local code = "void f(void) {\n    for (;;) {\n        if (a) {\n            if (b)\n"
            .. "                while (c)\n                    d();\n        }\n    }\n}\n"
        assert_found(check("size", { ["core/util.c"] = code }),
                     "core/util.c:5: f: 'while' on level 4, limit 3")
    end)

    it("finds long lines, files and plugins", function()
        assert_found(check("size", {
            ["core/util.c"] = "\n// " .. ("x"):rep(98) .. "\n",
            ["lua/queuectl/a.lua"] = ("x()\n"):rep(601),
            ["plugins/a.lua"] = ("x()\n"):rep(61),
        }), "core/util.c:2: line has 101 characters, limit 100",
            "lua/queuectl/a.lua:601: file has 601 lines, limit 600",
            "plugins/a.lua:61: file has 61 lines, limit 60")
    end)

    it("finds a long Lua function", function()
        local body = ("if x then y() else z() end -- end\n"):rep(59)
        assert_found(check("size", {
            ["lua/queuectl/a.lua"] = "\nlocal s = [[ end ]]\nfunction m.f()\n" .. body .. "end\n",
        }), "lua/queuectl/a.lua:3: m.f has 61 lines, limit 60")
    end)
end)

describe("lint", function()
    local MAIN = "int main(void) {\n    return 0;\n}\n"

    -- One C file of each side is the least that builds.
    local function lint(name, files)
        files["core/util.c"] = "extern int util;\nint util = 1;\n"
        files["core/embedded.h"] = t.read_file("core/embedded.h")
        return t.run({ tree(files) .. "/scripts/lint", unpack(name) }, { timeout = 120 })
    end

    it("passes a clean tree with every check", function()
        local r = lint({}, { ["core/main.c"] = MAIN, ["lua/queuectl/a.lua"] = "return {}\n" })
        assert.equal("lint: 7 checks passed\n", r.out:match("[^\n]*\n$"), r.out .. r.err)
        assert.equal(0, r.code)
    end)

    it("finds bad formatting", function()
        local r = lint({ "format" }, { ["core/main.c"] = "int  main(void) { return 0; }\n" })
        assert.equal(1, r.code)
        assert.matches("core/main.c:1:4: error:", r.err)
        assert.equal("lint: 1 of 1 checks failed: format\n", r.out)
    end)

    it("finds a global in Lua", function()
        local r = lint({ "luacheck_all" }, { ["lua/queuectl/a.lua"] = "\nleak = 1\n" })
        assert.equal(1, r.code)
        assert.matches("lua/queuectl/a.lua:2:1:", r.out)
    end)

    it("knows the globals of a jobs file", function()
        local jobs = 'defaults { timeout = 5 }\nlocal p = param "p" {}\njob "a" { run = p }\n'
        local r = lint({ "luacheck_all" }, { ["scripts/examples/a.lua"] = jobs })
        assert.equal("lint: 1 checks passed\n", r.out)
    end)

    it("finds what clang warns of, and what clang-tidy does", function()
        local source = "int main(int argc, char **argv) {\n    (void)argv;\n"
            .. "    if (argc = 1)\n        return 0;\n    return 1;\n}\n"
        local r = lint({ "clang", "tidy" }, { ["core/main.c"] = source })
        assert.equal(1, r.code)
        assert.matches("core/main.c:3:%d+: error: using the result of an assignment", r.err)
        assert.matches("core/main.c:3:%d+: error:.-%[clang%-diagnostic%-parentheses", r.out)
        assert.matches("lint: 2 of 2 checks failed: clang tidy\n$", r.out)
    end)
end)

describe("build", function()
    it("embeds Lua sorted by name, with the project's own lines", function()
        local dir = t.tmpdir()
        local out = dir .. "/out.c"
        t.mkdir_p(dir .. "/lua/queuectl/cmd")
        t.write_file(dir .. "/lua/queuectl/cmd/run.lua", "return 1\n")
        t.write_file(dir .. "/lua/queuectl/init.lua", "return 2\n")
        t.write_file(dir .. "/argparse.lua", "return 3\n")
        local r = t.run({ "luajit", t.root .. "/scripts/embed.lua", out, dir .. "/argparse.lua",
                          "lua/queuectl/init.lua", "lua/queuectl/cmd/run.lua" }, { cwd = dir })
        assert.equal(0, r.code, r.err)
        local names = {}
        for name in t.read_file(out):gmatch('{"([%w.]+)", code_%d+, %d+}') do
            names[#names + 1] = name
        end
        assert.same({ "argparse", "queuectl.cmd.run", "queuectl.init" }, names)
    end)

    it("stops at a syntax error in Lua and names the line", function()
        local dir = t.tmpdir()
        t.mkdir_p(dir .. "/lua/queuectl")
        t.write_file(dir .. "/lua/queuectl/a.lua", "\nx x\n")
        local r = t.run({ "luajit", t.root .. "/scripts/embed.lua", dir .. "/out.c",
                          "lua/queuectl/a.lua" }, { cwd = dir })
        assert.equal(1, r.code)
        assert.equal("lua/queuectl/a.lua:2: '=' expected near 'x'\n", r.err)
    end)
end)

describe("setup", function()
    it("says nothing when everything is there", function()
        local r = t.run { "scripts/setup", "test" }
        assert.same({ 0, "", "" }, { r.code, r.out, r.err })
    end)
end)
