local ffi = require "ffi"
local t = require "support"
local sys = require "support.sys"
local core = require("support.store").core

ffi.cdef [[
struct watch { void (*fn)(struct watch *w, uint32_t events); int fd; bool on; };
struct timer { struct heap_item due; void (*fn)(struct timer *t); };
struct loop;
int loop_new(struct loop **out, struct err *err);
void loop_free(struct loop *l);
int loop_watch(struct loop *l, struct watch *w, uint32_t events, struct err *err);
void loop_unwatch(struct loop *l, struct watch *w);
void loop_timer(struct loop *l, struct timer *t, int64_t in_us);
void loop_timer_stop(struct loop *l, struct timer *t);
int loop_once(struct loop *l, bool wait, struct err *err);
]]

local EPOLLIN = 1

describe("loop", function()
    local l, err, callbacks, fds

    before_each(function()
        local out = ffi.new("struct loop *[1]")
        err, callbacks, fds = ffi.new("struct err"), {}, {}
        assert.equal(0, core.loop_new(out, err))
        l = out[0]
    end)

    after_each(function()
        core.loop_free(l)
        for _, cb in ipairs(callbacks) do cb:free() end
        for _, fd in ipairs(fds) do sys.close(fd) end
    end)

    local function callback(kind, fn)
        local cb = ffi.cast(kind, fn)
        callbacks[#callbacks + 1] = cb
        return cb
    end

    local function timer(fn)
        return ffi.new("struct timer", { fn = callback("void (*)(struct timer *)", fn) })
    end

    local function pipe()
        local r, w = sys.pipe()
        fds[#fds + 1], fds[#fds + 2] = r, w
        return r, w
    end

    local function watch(fd, fn)
        local w = ffi.new("struct watch", { fd = fd })
        w.fn = callback("void (*)(struct watch *, uint32_t)", fn)
        return w
    end

    -- loop_once calls Lua back: it must not be called from compiled code.
    local function once() assert.equal(0, core.loop_once(l, true, err)) end
    jit.off(once)

    it("runs timers in the order they are due, each once and never early", function()
        local ran, from = {}, t.now()
        local timers = {}
        for i, in_us in ipairs { 30000, 10000, 20000 } do
            timers[i] = timer(function() ran[#ran + 1] = { in_us, t.now() - from } end)
            core.loop_timer(l, timers[i], in_us)
        end
        while #ran < 3 do once() end
        for i, in_us in ipairs { 10000, 20000, 30000 } do
            assert.equal(in_us, ran[i][1])
            assert.is_true(ran[i][2] >= in_us / 1e6)
        end
    end)

    it("moves a timer, and forgets one that is stopped", function()
        local ran = {}
        local stopped = timer(function() ran[#ran + 1] = "stopped" end)
        local moved = timer(function() ran[#ran + 1] = "moved" end)
        local last = timer(function() ran[#ran + 1] = "last" end)
        core.loop_timer(l, stopped, 1000)
        core.loop_timer(l, moved, 10000000)
        core.loop_timer(l, moved, 2000)
        core.loop_timer(l, last, 3000)
        core.loop_timer_stop(l, stopped)
        core.loop_timer_stop(l, stopped)
        while ran[#ran] ~= "last" do once() end
        assert.same({ "moved", "last" }, ran)
    end)

    it("takes a time in the past for now, and lets a timer arm itself again", function()
        local n = 0
        local again
        again = timer(function(self)
            n = n + 1
            if n < 3 then core.loop_timer(l, self, -5) end
        end)
        core.loop_timer(l, again, -1000000)
        while n < 3 do once() end
        assert.equal(3, n)
    end)

    it("wakes for a descriptor before a timer that is due later", function()
        local r, w = pipe()
        local seen
        local reader = watch(r, function(_, events) seen = { sys.read(r), events } end)
        local late = timer(function() seen = "late" end)
        core.loop_timer(l, late, 30000000)
        assert.equal(0, core.loop_watch(l, reader, EPOLLIN, err))
        assert.is_true(reader.on)
        sys.write(w, "x")
        once()
        assert.same({ "x", EPOLLIN }, seen)
    end)

    it("does not tell a watch that was ended in the same batch", function()
        local told, watches = 0, {}
        for i = 1, 2 do
            local r, w = pipe()
            watches[i] = watch(r, function()
                told = told + 1
                core.loop_unwatch(l, watches[1])
                core.loop_unwatch(l, watches[2])
            end)
            core.loop_watch(l, watches[i], EPOLLIN, err)
            sys.write(w, "x")
        end
        once()
        assert.equal(1, told)
        assert.is_false(watches[1].on or watches[2].on)
        core.loop_unwatch(l, watches[1])
    end)

    it("changes what a watch waits for", function()
        local r, w = pipe()
        local told = 0
        local reader = watch(r, function() told = told + 1 end)
        core.loop_watch(l, reader, EPOLLIN, err)
        core.loop_watch(l, reader, 0, err) -- errors only
        sys.write(w, "x")
        local wake = timer(function() end)
        core.loop_timer(l, wake, 1000)
        once()
        assert.equal(0, told)
        core.loop_watch(l, reader, EPOLLIN, err)
        once()
        assert.equal(1, told)
    end)

    it("tells of a descriptor that cannot be watched", function()
        local bad = watch(999, function() end)
        assert.equal(-1, core.loop_watch(l, bad, EPOLLIN, err))
        assert.equal(1, tonumber(err.code))
        assert.is_false(bad.on)
    end)
end)
