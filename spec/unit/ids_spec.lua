local ffi = require "ffi"
local store = require "support.store"

local core = store.core

describe("ids", function()
    it("are unique and sort as they were made", function()
        local raw, last, seen = ffi.new("char[13]"), "", {}
        for _ = 1, 100000 do
            core.id_make(raw)
            local id = ffi.string(raw)
            if id <= last then error(id .. " after " .. last) end
            if seen[id] then error(id .. " twice") end
            seen[id], last = true, id
        end
        assert.matches("^[0-9a-hjkmnp-tv-z]+$", last)
        assert.equal(12, #last)
        assert.is_true(core.id_is_valid(last))
    end)

    it("begin with the time", function()
        local digits, raw = "0123456789abcdefghjkmnpqrstvwxyz", ffi.new("char[13]")
        local before = store.wall_ms()
        core.id_make(raw)
        local ms = 0
        for c in ffi.string(raw):sub(1, 9):gmatch "." do
            ms = ms * 32 + digits:find(c, 1, true) - 1
        end
        -- those made above may have counted a little into the future
        assert.is_true(ms >= before and ms <= store.wall_ms() + 1000, ms - before)
    end)

    local cases = {
        [""] = false, ["a"] = true, ["Z"] = true, ["0"] = true, ["a-b"] = true, ["-a"] = false,
        ["-"] = false, ["_"] = true, ["."] = true, [":"] = true, ["a.b:c_d-e"] = true,
        ["a b"] = false, ["a/b"] = false, ["../x"] = false, ["a\n"] = false, ["ä"] = false,
        ["a\tb"] = false, ["a'b"] = false, ["a@b"] = false, ["\127"] = false, ["a*"] = false,
        ["a-"] = true, [".."] = true, ["a=b"] = false, ["a,b"] = false, ["a+b"] = false,
        [("x"):rep(128)] = true, [("x"):rep(129)] = false, [("x"):rep(100000)] = false,
    }
    for id, valid in pairs(cases) do
        it(("%s %q"):format(valid and "take" or "refuse", #id > 40 and #id .. " x" or id),
           function() assert.equal(valid, core.id_is_valid(id)) end)
    end

    it("of each single byte are valid or not as documented", function()
        for byte = 1, 255 do
            local c = string.char(byte)
            local valid = c:find "^[%w_.:]$" ~= nil and byte < 128
            assert.same({ byte, valid }, { byte, core.id_is_valid(c) })
            assert.same({ byte, valid or c == "-" }, { byte, core.id_is_valid("x" .. c) })
        end
    end)

    it("of process starts are 32 random hex digits", function()
        local raw, seen = ffi.new("char[33]"), {}
        for _ = 1, 1000 do
            assert.equal(0, core.uid_make(raw, nil))
            local uid = ffi.string(raw)
            assert.matches("^" .. ("[0-9a-f]"):rep(32) .. "$", uid)
            assert.is_nil(seen[uid])
            seen[uid] = true
        end
    end)
end)
