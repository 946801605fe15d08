local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core

local function words(text)
    local buf, pos = ffi.gc(ffi.new("struct buf"), core.buf_free), ffi.new("size_t[1]")
    if not core.command_words(text, #text, buf) then
        assert.equal(0, tonumber(buf.len))
        return nil
    end
    local out = {}
    while true do
        local entry = core.pack_next(buf.data, buf.len, pos)
        if entry == nil then return out end
        assert.equal("=", ffi.string(entry, 1))
        out[#out + 1] = ffi.string(entry + 1)
    end
end

describe("command_words", function()
    local plain = {
        ["ls"] = { "ls" },
        ["sleep 1"] = { "sleep", "1" },
        ["  /bin/ls\t-l   /tmp  "] = { "/bin/ls", "-l", "/tmp" },
        ["env A=1 B=x,y cmd"] = { "env", "A=1", "B=x,y", "cmd" },
        ["date +%Y-%m-%dT%H:%M"] = { "date", "+%Y-%m-%dT%H:%M" },
        ["./run.sh a@b.c --n=5"] = { "./run.sh", "a@b.c", "--n=5" },
        ["cat if then echo"] = { "cat", "if", "then", "echo" },
        ["/bin/echo x"] = { "/bin/echo", "x" },
        ["echoes"] = { "echoes" },
    }
    for text, want in pairs(plain) do
        it(("takes %q for words"):format(text), function() assert.same(want, words(text)) end)
    end

    local shell = {
        "", " ", "\t ", "\n", "ls\n", "ls\nls", "a\0b", "\0", "ls;", "a;b", "a&", "a&&b", "a|b",
        "a||b", "(a)", "{ a; }", "! a", "a 'b'", 'a "b"', "a\\ b", "a\\", "$a", "a $b", "a`b`",
        "a $(b)", "a > b", "a>b", "a < b", "a 2>&1", "a <<E", "a *", "a ?", "a [b]", "a {b,c}",
        "~", "a ~", "a ~/b", "~/b", "A=1", "A=1 b", "a=b c", "=a", "#a", "a #b", "a # b", "a^b",
        "a!b", "a ä", "a \127", "a\rb", "a\11b", "a \1", "[ -f x ]", ". x", ": x", "\255",
    }
    for _, text in ipairs(shell) do
        it(("leaves %q to the shell"):format(text), function() assert.is_nil(words(text)) end)
    end

    it("leaves every keyword and builtin of the shell here to it", function()
        local names = { "!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for",
            "if", "in", "then", "until", "while", ".", ":", "[", "alias", "bg", "break", "cd",
            "chdir", "command", "continue", "echo", "eval", "exec", "exit", "export", "false", "fg",
            "getopts", "hash", "jobs", "kill", "local", "printf", "pwd", "read", "readonly",
            "return", "set", "shift", "test", "times", "trap", "true", "type", "ulimit", "umask",
            "unalias", "unset", "wait", "time", "function" }
        for _, name in ipairs(names) do assert.is_nil(words(name .. " x"), name) end
    end)

    -- A program that is also a builtin would behave differently without the shell.
    it("takes no program for words whose name means something to /bin/sh", function()
        local asked = t.run([[
            for dir in /bin /usr/bin /sbin /usr/sbin; do ls $dir; done | sort -u |
            while read -r name; do
                case $(type "$name" 2>/dev/null) in
                *builtin*|*keyword*) echo "$name";;
                esac
            done]])
        local n = 0
        for name in asked.out:gmatch("[^\n]+") do
            n = n + 1
            assert.is_nil(words(name .. " x"), name)
        end
        assert.is_true(n >= 5, "sh told of " .. n)
    end)

    it("agrees with the shell about the words", function()
        local r = t.rng()
        local alphabet = "aZ0_./:,@%+=-  \t"
        for _ = 1, 60 do
            local chars = {}
            for i = 1, r(30) do
                local at = r(#alphabet)
                chars[i] = alphabet:sub(at, at)
            end
            local text = "/usr/bin/printf %s\\\\n x " .. table.concat(chars)
            local got = words("/usr/bin/printf x " .. table.concat(chars))
            table.remove(got, 1)
            assert.equal(table.concat(got, "\n") .. "\n", t.run(text).out)
        end
    end)

    it("leaves long texts to the shell, and every single odd byte", function()
        assert.is_not_nil(words("x " .. ("y"):rep(4000)))
        assert.is_nil(words("x " .. ("y"):rep(5000)))
        for byte = 0, 255 do
            local c = string.char(byte)
            local is_plain = byte < 128 and c:find "[%w_./:,@%%+=%- \t]" ~= nil
            assert.same({ byte, is_plain }, { byte, words("x y" .. c .. "z") ~= nil })
        end
    end)

    it("adds to what the list has, or leaves it", function()
        local buf = ffi.gc(ffi.new("struct buf"), core.buf_free)
        core.pack_add(buf, ("="):byte(), "first")
        assert.is_true(core.command_words("a b", 3, buf))
        assert.is_false(core.command_words("c d $x", 6, buf))
        assert.equal("=first\0=a\0=b\0", ffi.string(buf.data, buf.len))
    end)
end)
