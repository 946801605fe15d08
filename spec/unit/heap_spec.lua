local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core

describe("heap", function()
    local h
    before_each(function() h = ffi.gc(ffi.new("struct heap"), core.heap_free) end)

    local function item() return ffi.new("struct heap_item") end

    local function pop()
        local top = core.heap_top(h)
        if top == nil then return nil end
        core.heap_remove(h, top)
        return tonumber(top.at)
    end

    -- Each knows its place, and no child is before its parent.
    local function check()
        for i = 1, tonumber(h.len) do
            if h.items[i - 1].pos ~= i then error("a wrong place at " .. i) end
            if i > 1 and h.items[math.floor(i / 2) - 1].at > h.items[i - 1].at then
                error("a child before its parent at " .. i)
            end
        end
    end

    it("has no first when empty", function()
        assert.is_true(core.heap_top(h) == nil)
        local one = item()
        core.heap_remove(h, one) -- not in it: nothing happens
        core.heap_set(h, one, 5)
        assert.is_true(core.heap_top(h) == one)
        core.heap_remove(h, one)
        core.heap_remove(h, one)
        assert.is_true(core.heap_top(h) == nil)
        assert.equal(0, tonumber(one.pos))
    end)

    it("sorts", function()
        local r, items, want = t.rng(), {}, {}
        for i = 1, 3000 do
            items[i], want[i] = item(), r(-500, 500)
            core.heap_set(h, items[i], want[i])
        end
        check()
        table.sort(want)
        for i = 1, 3000 do assert.equal(want[i], pop()) end
        assert.is_nil(pop())
    end)

    it("keeps the order of the widest numbers", function()
        local low, high, mid = item(), item(), item()
        core.heap_set(h, high, 0x7fffffffffffffffLL)
        core.heap_set(h, mid, 0)
        core.heap_set(h, low, -0x7fffffffffffffffLL - 1)
        for _, want in ipairs { low, mid, high } do
            local top = core.heap_top(h)
            assert.is_true(top == want)
            core.heap_remove(h, top)
        end
    end)

    it("is like a sorted list when items are moved and removed at random", function()
        local r, items, at = t.rng(), {}, {}
        for i = 1, 60 do items[i] = item() end
        for _ = 1, 20000 do
            local i = r(60)
            if r(3) == 1 then
                core.heap_remove(h, items[i])
                at[i] = nil
            else
                at[i] = r(100)
                core.heap_set(h, items[i], at[i])
            end
            check()
            local first, n = nil, 0
            for _, v in pairs(at) do
                first, n = math.min(first or v, v), n + 1
            end
            assert.equal(n, tonumber(h.len))
            local top = core.heap_top(h)
            assert.equal(first, top ~= nil and tonumber(top.at) or nil)
            for k = 1, 60 do
                if (at[k] ~= nil) ~= (items[k].pos > 0) then error "an item is lost" end
            end
        end
    end)
end)
