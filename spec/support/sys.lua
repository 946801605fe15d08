-- The few system calls that specs need and Lua lacks, through LuaJIT's ffi.

local ffi = require "ffi"

ffi.cdef [[
typedef struct { char opaque[512]; } spec_spawn_t; /* larger than glibc's actions and attributes */
struct spec_pollfd { int fd; short events; short revents; };
struct spec_timespec { long sec; long nsec; };

int pipe2(int fds[2], int flags);
int open(const char *path, int flags, ...);
int close(int fd);
long read(int fd, void *buf, size_t size);
long write(int fd, const void *buf, size_t size);
int fcntl(int fd, int cmd, ...);
int poll(struct spec_pollfd *fds, unsigned long n, int timeout_ms);
int kill(int pid, int sig);
int waitpid(int pid, int *status, int options);
int getpid(void);
long syscall(long number, ...);
void (*signal(int sig, void (*handler)(int)))(int);
int setenv(const char *name, const char *value, int overwrite);
int unsetenv(const char *name);
char *mkdtemp(char *template);
char *strerror(int errnum);
char *realpath(const char *path, char *resolved);
void free(void *p);
int clock_gettime(int clock, struct spec_timespec *ts);
extern char **environ;

int posix_spawnp(int *pid, const char *file, const spec_spawn_t *actions, const spec_spawn_t *attr,
                 const char *const argv[], const char *const envp[]);
int posix_spawn_file_actions_init(spec_spawn_t *actions);
int posix_spawn_file_actions_destroy(spec_spawn_t *actions);
int posix_spawn_file_actions_adddup2(spec_spawn_t *actions, int fd, int newfd);
int posix_spawn_file_actions_addclosefrom_np(spec_spawn_t *actions, int fd);
int posix_spawn_file_actions_addchdir_np(spec_spawn_t *actions, const char *path);
int posix_spawnattr_init(spec_spawn_t *attr);
int posix_spawnattr_destroy(spec_spawn_t *attr);
int posix_spawnattr_setflags(spec_spawn_t *attr, short flags);
int posix_spawnattr_setpgroup(spec_spawn_t *attr, int pgroup);
int posix_spawnattr_setsigdefault(spec_spawn_t *attr, const void *set);
int posix_spawnattr_setsigmask(spec_spawn_t *attr, const void *set);
int sigemptyset(void *set);
int sigaddset(void *set, int sig);
]]

local C = ffi.C
local sys = {}

sys.POLLIN, sys.POLLOUT, sys.POLLHUP = 1, 4, 16
sys.SIG = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, USR1 = 10, SEGV = 11, USR2 = 12, PIPE = 13,
            ALRM = 14, TERM = 15, CHLD = 17, CONT = 18, STOP = 19, TSTP = 20, WINCH = 28 }

local O_RDONLY, O_NONBLOCK, O_CLOEXEC = 0, 0x800, 0x80000
local F_SETFL, EINTR, WNOHANG = 4, 4, 1
local SPAWN_SETPGROUP, SPAWN_SETSIGDEF, SPAWN_SETSIGMASK = 2, 4, 8
local SYS_pidfd_open = 434
local CLOCK_REALTIME, CLOCK_MONOTONIC = 0, 1

-- A spec that writes to a program that has gone shall see an error, not die.
C.signal(sys.SIG.PIPE, ffi.cast("void (*)(int)", 1))

local function last_error()
    return ffi.string(C.strerror(ffi.errno()))
end

local function clock(id)
    local ts = ffi.new("struct spec_timespec")
    C.clock_gettime(id, ts)
    return tonumber(ts.sec) + tonumber(ts.nsec) / 1e9
end

function sys.now() return clock(CLOCK_MONOTONIC) end
function sys.wall() return clock(CLOCK_REALTIME) end
function sys.pid() return C.getpid() end

function sys.setenv(name, value)
    if value then C.setenv(name, value, 1) else C.unsetenv(name) end
end

-- The environment as a table, read anew from the process.
function sys.environ()
    local env, i = {}, 0
    while C.environ[i] ~= nil do
        local name, value = ffi.string(C.environ[i]):match("^([^=]+)=(.*)$")
        if name then env[name] = value end
        i = i + 1
    end
    return env
end

function sys.mkdtemp(template)
    local buffer = ffi.new("char[?]", #template + 1, template)
    if C.mkdtemp(buffer) == nil then error("mkdtemp " .. template .. ": " .. last_error()) end
    return ffi.string(buffer)
end

function sys.realpath(path)
    local resolved = C.realpath(path, nil)
    if resolved == nil then return nil end
    local text = ffi.string(resolved)
    C.free(resolved)
    return text
end

-- Read end, write end; both close on exec.
function sys.pipe()
    local fds = ffi.new("int[2]")
    if C.pipe2(fds, O_CLOEXEC) ~= 0 then error("pipe2: " .. last_error()) end
    return fds[0], fds[1]
end

function sys.set_nonblocking(fd)
    C.fcntl(fd, F_SETFL, ffi.cast("int", O_NONBLOCK))
end

function sys.open_null()
    local fd = C.open("/dev/null", O_RDONLY + O_CLOEXEC)
    if fd < 0 then error("/dev/null: " .. last_error()) end
    return fd
end

function sys.close(fd) C.close(fd) end

local buffer = ffi.new("char[65536]")

-- What is there now; "" at the end of file; nil when there is nothing yet.
function sys.read(fd)
    local n
    repeat n = C.read(fd, buffer, 65536) until n >= 0 or ffi.errno() ~= EINTR
    if n < 0 then return nil end
    return ffi.string(buffer, n)
end

-- The number of bytes that fitted, or nil and the reason.
function sys.write(fd, data)
    local n = tonumber(C.write(fd, data, #data))
    if n < 0 then return nil, last_error() end
    return n
end

-- Waits until one of {fd, events} is ready; sets .ready on each.
function sys.poll(watches, timeout_s)
    local fds = ffi.new("struct spec_pollfd[?]", math.max(1, #watches))
    for i, watch in ipairs(watches) do
        fds[i - 1].fd, fds[i - 1].events = watch.fd, watch.events
    end
    C.poll(fds, #watches, math.ceil(timeout_s * 1000))
    for i, watch in ipairs(watches) do watch.ready = fds[i - 1].revents ~= 0 end
end

-- true, or nil and the reason. A negative pid is a process group.
function sys.kill(pid, sig)
    if C.kill(pid, sys.SIG[sig] or sig) == 0 then return true end
    return nil, last_error()
end

-- A zombie is dead: only its parent has not noticed yet.
function sys.pid_alive(pid)
    local file = io.open(("/proc/%d/stat"):format(pid))
    local state = file and (file:read("*a") or ""):match("%) (%a)[^)]*$")
    if file then file:close() end
    return state ~= nil and state ~= "Z" and state ~= "X"
end

function sys.pidfd_open(pid)
    local fd = tonumber(C.syscall(SYS_pidfd_open, ffi.cast("int", pid), ffi.cast("int", 0)))
    if fd < 0 then error("pidfd_open: " .. last_error()) end
    return fd
end

-- Exit code and signal (one of them nil) of a child that has ended; nothing while it runs.
function sys.reap(pid)
    local status = ffi.new("int[1]")
    local got = C.waitpid(pid, status, WNOHANG)
    if got == 0 then return end
    if got < 0 then error("waitpid " .. pid .. ": " .. last_error()) end
    local signal = status[0] % 128
    if signal ~= 0 then return nil, signal end
    return math.floor(status[0] / 256) % 256
end

-- The list must outlive the array.
local function c_strings(list)
    local array = ffi.new("const char *[?]", #list + 1, list)
    array[#list] = nil -- a variable-length array is not zero beyond its initialiser
    return array
end

local function spawn_attributes()
    local attr, set = ffi.new("spec_spawn_t"), ffi.new("char[128]")
    C.posix_spawnattr_init(attr)
    C.posix_spawnattr_setflags(attr, SPAWN_SETPGROUP + SPAWN_SETSIGDEF + SPAWN_SETSIGMASK)
    C.posix_spawnattr_setpgroup(attr, 0)
    C.sigemptyset(set)
    C.posix_spawnattr_setsigmask(attr, set)
    C.sigaddset(set, sys.SIG.PIPE)
    C.posix_spawnattr_setsigdefault(attr, set)
    return attr
end

-- Starts argv in a process group of its own with fds[1..3] as its 0, 1, 2. Returns the pid.
function sys.spawn(argv, env, cwd, fds)
    local actions, attr = ffi.new("spec_spawn_t"), spawn_attributes()
    C.posix_spawn_file_actions_init(actions)
    if cwd then C.posix_spawn_file_actions_addchdir_np(actions, cwd) end
    for i, fd in ipairs(fds) do C.posix_spawn_file_actions_adddup2(actions, fd, i - 1) end
    C.posix_spawn_file_actions_addclosefrom_np(actions, 3)
    local settings = {} -- owns the strings that the C array points to
    for name, value in pairs(env) do settings[#settings + 1] = name .. "=" .. value end
    local pid = ffi.new("int[1]")
    local rc = C.posix_spawnp(pid, argv[1], actions, attr, c_strings(argv), c_strings(settings))
    C.posix_spawn_file_actions_destroy(actions)
    C.posix_spawnattr_destroy(attr)
    if rc ~= 0 then error(argv[1] .. ": " .. ffi.string(C.strerror(rc)), 0) end
    return pid[0]
end

return sys
