local ffi = require "ffi"
local t = require "support"
local store = require "support.store"

local core = store.core

ffi.cdef [[
int artifacts_find(const char *patterns, size_t len, const char *cwd, struct buf *found,
                   struct err *err);
]]

-- { "SIZE PATH", … } of what the patterns find in the folder, or nil and the message.
local function find(cwd, ...)
    local patterns = store.pack { ... }
    local found = ffi.gc(ffi.new("struct buf"), core.buf_free)
    local err = ffi.new("struct err")
    if core.artifacts_find(patterns, #patterns, cwd, found, err) < 0 then
        return nil, ffi.string(err.text)
    end
    local list = {}
    local text = found.data ~= nil and ffi.string(found.data, found.len) or ""
    for entry in text:gmatch("=(%Z+)%z") do list[#list + 1] = entry end
    return list
end

local function folder(files)
    local dir = t.tmpdir()
    for name, text in pairs(files) do
        if name:find("/", 1, true) then t.mkdir_p(dir .. "/" .. name:match("^(.*)/")) end
        t.write_file(dir .. "/" .. name, text)
    end
    return dir
end

describe("artifacts", function()
    it("are what the patterns match, with sizes, in order", function()
        local dir = folder { ["dist/b.tar"] = "12345", ["dist/a.tar"] = "", ["dist/c.zip"] = "x",
                             ["log"] = "abc" }
        assert.same({ "3 log", "0 dist/a.tar", "5 dist/b.tar" }, (find(dir, "log", "dist/*.tar")))
        assert.same({ "0 dist/a.tar", "1 dist/c.zip" }, (find(dir, "dist/[ac].*")))
    end)

    it("may be folders, and hidden where the pattern says so", function()
        local dir = folder { ["out/.cache/x"] = "1", ["out/y"] = "22" }
        assert.same({ "0 out" }, (find(dir, "out")))
        assert.same({ "2 out/y" }, (find(dir, "out/*")))
        assert.same({ "0 out/.cache" }, (find(dir, "out/.c*")))
    end)

    it("are named where nothing matches", function()
        local dir = folder { a = "" }
        local found, message = find(dir, "a", "dist/*.tar.gz")
        assert.is_nil(found)
        assert.equal("promised artifact 'dist/*.tar.gz' was not made", message)
        found, message = find(dir, "b")
        assert.is_nil(found)
        assert.equal("promised artifact 'b' was not made", message)
    end)

    it("are no dangling links", function()
        local dir = folder {}
        assert(t.run({ "ln", "-s", "nowhere", dir .. "/link" }).code == 0)
        assert.is_nil((find(dir, "link")))
    end)

    it("are looked for in this folder, whatever its name", function()
        local dir = folder { ["[x] \\*?/one"] = "1", ["x *?/one"] = "12", ["sub/[x] \\*?/o"] = "" }
        assert.same({ "1 one" }, (find(dir .. "/[x] \\*?", "on*")))
        assert.same({ "1 one" }, (find(dir .. "/[x] \\*?", "one")))
        assert.same({ "2 one" }, (find(dir .. "/x *?", "one")))
        assert.same({ "0 [x] \\*?/o" }, (find(dir .. "/sub", "*/o")))
    end)

    it("may have absolute names", function()
        local dir = folder { a = "1" }
        assert.same({ "1 " .. dir .. "/a" }, (find("/", dir .. "/a")))
        assert.same({ "1 " .. dir .. "/a" }, (find(nil, dir .. "/?")))
    end)

    it("are at most a thousand", function()
        local dir = t.tmpdir()
        local made = t.run { "sh", "-c", "cd " .. dir .. " && seq -f f%04g 1 1200 | xargs touch" }
        assert.equal(0, made.code)
        local found = find(dir, "f*", "f0001")
        assert.equal(1000, #found)
        assert.equal("0 f0001", found[1])
        assert.equal("0 f1000", found[1000])
    end)

    it("are given up where there is too much to look at", function()
        local dir = t.tmpdir()
        local made = t.run({ "sh", "-c", ("cd %s && mkdir a && cd a && seq 1 2000 | xargs touch"
            .. " && cd .. && for i in $(seq 1 60); do ln -s a l$i; done"):format(dir) })
        assert.equal(0, made.code)
        local found, message = find(dir, "*/nothing*")
        assert.is_nil(found)
        assert.match("^looking for promised artifact '%*/nothing%*' was given up after 100000",
                     message)
        assert.same({ "0 a" }, (find(dir, "a"))) -- the next search is a new one
    end)
end)
