local ffi = require "ffi"
local t = require "support"
local core = require("support.store").core
local ctx_enqueue = require "queuectl.jobs.ctx.enqueue"
local spec_text = require "queuectl.spec"

ffi.cdef [[
void *malloc(size_t size);
int job_fields_read(const char *p, size_t len, char *texts, struct job_spec *out, char **why);
]]

local function field(key, value) return ("%s:%d:%s"):format(key, #value, value) end

-- The spec and what holds its texts, or nil and why not. The message stands at the end of a block
-- of just its size, so that the sanitizer sees a read beyond it.
local function read(message)
    local size = #message
    local p = ffi.gc(ffi.cast("char *", ffi.C.malloc(size + (size == 0 and 1 or 0))), ffi.C.free)
    ffi.copy(p, message, size)
    local texts = ffi.gc(ffi.cast("char *", ffi.C.malloc(size + 1)), ffi.C.free)
    local spec, why = ffi.new("struct job_spec"), ffi.new("char *[1]")
    if core.job_fields_read(p, size, texts, spec, why) == 0 then return spec, texts end
    local text = ffi.string(why[0])
    ffi.C.free(why[0])
    return nil, text
end

local function bytes(b) return ffi.string(b.data, b.len) end

local GOOD = {
    name = "two", id = "two-id", queue = "q", group = "g", kind = "argv",
    command = "=sh\0=\0", env = "=A=b c\0-HOME\0$S=env:X\0", cwd = "/tmp", stdin = "a\0b",
    priority = "-5", retries = "0", timeout_ms = "1500", kill_after_ms = "10", delay_ms = "1",
    start_at = "1764027600000", max_age_ms = "7", backoff = "fixed none 10 1 1000",
    ok_codes = "\0\7", allow_failure = "1", fail_fast = "0", when = "1", outputs = "=k\0",
    artifacts = "=*.txt\0", limits = "1 2 3 4", description = "", tags = "[]", meta = "{}",
}

local function message_of(fields)
    local parts = {}
    for key, value in pairs(fields) do parts[#parts + 1] = field(key, value) end
    return table.concat(parts)
end

describe("fields of a job", function()
    it("are read, each into its place", function()
        local spec, texts = read(message_of(GOOD))
        assert.is_not_nil(spec, texts)
        for _, name in ipairs { "name", "id", "queue", "group", "cwd", "backoff", "limits",
                                "description", "tags", "meta" } do
            assert.equal(GOOD[name], ffi.string(spec[name]))
        end
        for _, name in ipairs { "command", "env", "ok_codes", "outputs", "artifacts" } do
            assert.equal(GOOD[name], bytes(spec[name]))
        end
        assert.equal("a\0b", bytes(spec.stdin_text))
        for _, name in ipairs { "priority", "retries", "timeout_ms", "kill_after_ms", "delay_ms",
                                "start_at", "max_age_ms" } do
            assert.equal(tonumber(GOOD[name]), tonumber(spec[name]))
        end
        assert.same({ 1, true, false, true },
                    { tonumber(spec.kind), spec.allow_failure, spec.fail_fast, spec.when })
    end)

    it("have the defaults of enqueue", function()
        local spec, texts = read(field("command", "true"))
        assert.is_not_nil(spec, texts)
        assert.same({ 0, "default", 3, 3600000, 10000, 0 },
                    { tonumber(spec.kind), ffi.string(spec.queue), spec.retries,
                      tonumber(spec.timeout_ms), tonumber(spec.kill_after_ms),
                      tonumber(spec.needs_len) })
        assert.is_true(spec.id == nil and spec.name == nil and spec.env.data == nil)
    end)

    it("take all that ctx.enqueue lets through", function()
        local words, env, patterns = { "true" }, {}, {}
        for i = 2, 65534 do words[i] = "x" end -- 2 bytes each for the kernel, 3 packed
        for i = 1, 600 do env[("V%04d"):format(i)] = ("x"):rep(100) end
        for i = 1, 100 do patterns[i] = ("%03d"):format(i) .. ("x"):rep(4090) end
        local job = assert(ctx_enqueue.read({ run = words, env = env, artifacts = patterns,
            priority = -2147483648 }, "/srv"))
        local spec, texts = read(ctx_enqueue.message(spec_text.pack(job)))
        assert.is_not_nil(spec, texts)
        assert.equal(-2147483648, spec.priority)
    end)

    it("are refused with the name of the bad one", function()
        for name, value in pairs {
            priority = "1.5", retries = "1000001", timeout_ms = " 1x", delay_ms = "", when = "2",
            name = "", id = ("x"):rep(129), queue = ("x"):rep(65), cwd = "a\0b", kind = "LUA",
            env = "A=b\0", outputs = "k\0", artifacts = "=a", ok_codes = ("x"):rep(257),
            command = ("x"):rep(131072), max_age_ms = "99999999999999999999",
            start_at = "253402300800000",
        } do
            local fields = { command = "true" }
            fields[name] = value
            assert.same({ nil, "bad value of field " .. name }, { read(message_of(fields)) })
        end
        assert.same({ nil, "unknown field needs" }, { read(field("needs", "1")) })
    end)

    it("never lead beyond the message, whatever stands in it", function()
        local r = t.rng()
        local good, whole = message_of(GOOD), 0
        for _ = 1, 3000 do
            local chars = { good:byte(1, -1) }
            for _ = 1, r(1, 3) do
                local at, how = r(1, #chars), r(1, 4)
                if how == 1 then chars[at] = r(0, 255)
                elseif how == 2 then table.remove(chars, at)
                elseif how == 3 then table.insert(chars, at, (":0=\0" .. good):byte(r(1, 8)))
                else for i = #chars, at + 1, -1 do chars[i] = nil end end
            end
            local spec, why = read(string.char(unpack(chars)))
            if spec then
                whole = whole + 1
                assert.is_true(#bytes(spec.command) > 0)
            else
                assert.is_true(#why > 0)
            end
        end
        assert.is_true(whole > 10 and whole < 2900)
    end)
end)
