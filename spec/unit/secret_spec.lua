local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core

ffi.cdef [[
int secret_read(const char *place, struct buf *out, struct err *err);
int setenv(const char *name, const char *value, int overwrite);
int unsetenv(const char *name);
int prctl(int option, ...);
]]

local PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4

-- The value, or nil and the message.
local function read(place)
    local out, err = ffi.gc(ffi.new("struct buf"), core.buf_free), ffi.new("struct err")
    if core.secret_read(place, out, err) < 0 then return nil, ffi.string(err.text) end
    return ffi.string(out.data, out.len)
end

local function file(text)
    local path = t.tmpdir() .. "/secret"
    return t.write_file(path, text)
end

describe("a secret", function()
    local dumpable = ffi.C.prctl(PR_GET_DUMPABLE)
    teardown(function() ffi.C.prctl(PR_SET_DUMPABLE, ffi.cast("long", dumpable)) end)

    it("is read from the environment", function()
        ffi.C.setenv("SPEC_SECRET", "s3 cret\n", 1)
        assert.equal("s3 cret\n", read "env:SPEC_SECRET")
        ffi.C.setenv("SPEC_SECRET", "", 1)
        assert.equal("", read "env:SPEC_SECRET")
        ffi.C.unsetenv("SPEC_SECRET")
        assert.same({ nil, "secret env:SPEC_SECRET: the worker has no such variable in its"
                           .. " environment" }, { read "env:SPEC_SECRET" })
    end)

    it("is read from a file, without the newline at its end", function()
        assert.equal("s3cret", read("file:" .. file "s3cret\n"))
        assert.equal("a\nb\n", read("file:" .. file "a\nb\n\n"))
        assert.equal("a", read("file:" .. file "a"))
        assert.equal("", read("file:" .. file ""))
        assert.equal(65536, #read("file:" .. file(("x"):rep(65536))))
    end)

    it("is not read from what is no such file, and the message has nothing of it", function()
        local nul, long = file "hidden\0value", file(("hidden"):rep(20000))
        for path, why in pairs {
            [nul] = ": holds a NUL, which no variable can", [long] = ": File too large",
            ["/nowhere"] = ": No such file or directory", ["/tmp"] = " is not a regular file",
            ["/dev/null"] = " is not a regular file",
        } do
            local value, message = read("file:" .. path)
            assert.is_nil(value)
            assert.equal(("secret file:%s%s"):format(path, why), message)
        end
    end)

    it("has a place that says where", function()
        for _, place in ipairs { "", "hunter2", "vault:x" } do
            assert.same({ nil, ("secret %s: must be env:NAME or file:/PATH"):format(place) },
                        { read(place) })
        end
    end)

    it("keeps its reader from leaving it in a core file", function()
        read("file:" .. file "x")
        assert.equal(0, ffi.C.prctl(PR_GET_DUMPABLE))
    end)
end)
