-- What a Lua job says to its worker, said by hand: text for the beginning of a jobs file. There
-- tell(type, body) sends one message, text "a", "b" is the body of texts, field("k", "v") that of
-- a field, and leave() ends the process at once.

return [==[
local ffi = require "ffi"
ffi.cdef [[
long write(int fd, const void *p, size_t n);
long readlink(const char *path, char *to, size_t n);
void _exit(int code);
]]
local function is_pipe(fd)
    local to = ffi.new("char[64]")
    local n = ffi.C.readlink("/proc/self/fd/" .. fd, to, 64)
    return n > 0 and ffi.string(to, n):find("^pipe:") ~= nil
end
local function channel()
    for fd = 3, 9 do if is_pipe(fd) then return fd end end
    error "no channel"
end
local function tell(type, body)
    local message = type .. body
    local length = ffi.string(ffi.new("uint32_t[1]", #message), 4)
    ffi.C.write(channel(), length .. message, 4 + #message)
end
local function texts(...) return table.concat({ ... }, "\0") .. "\0" end
local function result(kind, text) tell("r", texts(kind, "0", text or "")) end
local function field(key, value) return ("%s:%d:%s"):format(key, #value, value) end
local function leave(code) ffi.C._exit(code or 0) end
]==]
