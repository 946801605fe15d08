-- Runs programs for specs: real pipes, an own process group, killed in the end whatever happens.
-- One pump() serves the pipes of all of them; every wait goes through it.

local sys = require "support.sys"

local process = {}

-- Every program gets this in its environment, so that even a descendant that left its
-- process group and session is found and killed.
process.token = ("SPEC_TOKEN=%d-%d"):format(sys.pid(), math.floor(sys.wall() * 1000))

local MAX_SWEEPS = 100

local Handle = {}
Handle.__index = Handle

local live = {} -- handle -> true: still running, or with pipes open

local function close(handle, name)
    if handle[name] then sys.close(handle[name]) end
    handle[name] = nil
end

local function read_stream(handle, name)
    repeat
        local data = sys.read(handle[name .. "_fd"])
        if data == "" then
            close(handle, name .. "_fd")
        elseif data then
            local parts = handle.parts[name]
            parts[#parts + 1] = data
        end
    until not data or data == ""
end

local function write_input(handle)
    if handle.input == "" then
        if not handle.input_open then close(handle, "in_fd") end
        return
    end
    local n, err = sys.write(handle.in_fd, handle.input)
    if n then
        handle.input = handle.input:sub(n + 1)
        return write_input(handle)
    elseif not err:find("temporarily") then
        close(handle, "in_fd") -- it has closed its stdin: that is its right
    end
end

local function reap(handle)
    local code, signal = sys.reap(handle.child)
    if not code and not signal then return end
    handle.code, handle.signal, handle.ended_at = code, signal, sys.now()
    close(handle, "pidfd")
    close(handle, "in_fd")
end

local SERVE = {
    { "out_fd", sys.POLLIN, function(handle) read_stream(handle, "out") end },
    { "err_fd", sys.POLLIN, function(handle) read_stream(handle, "err") end },
    { "in_fd", sys.POLLOUT, write_input },
    { "pidfd", sys.POLLIN, reap },
}

local function wants(handle, name)
    return handle[name] and (name ~= "in_fd" or handle.input ~= "")
end

-- Moves bytes and collects exits, waiting at most timeout_s for something to happen.
function process.pump(timeout_s)
    local watches = {}
    for handle in pairs(live) do
        for _, entry in ipairs(SERVE) do
            if wants(handle, entry[1]) then
                watches[#watches + 1] = { fd = handle[entry[1]], events = entry[2],
                                          handle = handle, serve = entry[3] }
            end
        end
    end
    sys.poll(watches, math.max(0, timeout_s))
    for _, watch in ipairs(watches) do
        if watch.ready then watch.serve(watch.handle) end
    end
    for handle in pairs(live) do
        if not handle.pidfd and not handle.out_fd and not handle.err_fd then live[handle] = nil end
    end
end

local function child_env(overrides)
    local env = sys.environ()
    local name, value = process.token:match("^(.-)=(.*)$")
    env[name] = value
    for key, text in pairs(overrides or {}) do
        env[key] = text and tostring(text) or nil
    end
    return env
end

local function open_input(handle, stdin)
    if not stdin then return sys.open_null() end
    local read_fd, write_fd = sys.pipe()
    sys.set_nonblocking(write_fd)
    handle.in_fd = write_fd
    handle.input, handle.input_open = stdin == true and "" or stdin, stdin == true
    return read_fd
end

local function open_output(handle, name)
    local read_fd, write_fd = sys.pipe()
    sys.set_nonblocking(read_fd)
    handle[name .. "_fd"] = read_fd
    return write_fd
end

-- Starts argv (a list, or a string for sh -c). opts: env (false removes a variable), cwd, stdin
-- (a string; true: open, see write and close_input; nil: /dev/null), keep (true: lives until the
-- end of the spec file instead of the end of the spec).
function process.spawn(argv, opts)
    opts = opts or {}
    if type(argv) == "string" then argv = { "sh", "-c", argv } end
    for i, arg in ipairs(argv) do argv[i] = tostring(arg) end
    local handle = setmetatable({ argv = argv, parts = { out = {}, err = {} }, input = "",
                                  keep = opts.keep, started_at = sys.now() }, Handle)
    local fds = { open_input(handle, opts.stdin), open_output(handle, "out"),
                  open_output(handle, "err") }
    local ok, pid = pcall(sys.spawn, argv, child_env(opts.env), opts.cwd, fds)
    for _, fd in ipairs(fds) do sys.close(fd) end
    if not ok then
        for _, name in ipairs { "in_fd", "out_fd", "err_fd" } do close(handle, name) end
        error(pid, 2)
    end
    handle.child, handle.pidfd = pid, sys.pidfd_open(pid)
    live[handle] = true
    process.used = true
    write_input(handle)
    return handle
end

function Handle:pid() return self.child end

function Handle:running()
    process.pump(0)
    return self.pidfd ~= nil
end

local function text(handle, name)
    process.pump(0)
    return table.concat(handle.parts[name])
end

-- What it has printed so far.
function Handle:out() return text(self, "out") end
function Handle:err() return text(self, "err") end

-- Signals the program itself, or with group = true its whole process group.
function Handle:kill(sig, group)
    if not group and not self:running() then return nil, "has ended" end
    return sys.kill(group and -self.child or self.child, sig or "TERM")
end

-- More input for a program started with stdin = true.
function Handle:write(data)
    self.input = self.input .. data
    if self.in_fd then write_input(self) end
end

function Handle:close_input()
    self.input_open = false
    if self.in_fd then write_input(self) end
end

function Handle:describe()
    local command = table.concat(self.argv, " ")
    return ("%s\nstdout: %s\nstderr: %s"):format(command, self:out(), self:err())
end

local function pump_until(done, timeout_s)
    local deadline = sys.now() + timeout_s
    while not done() do
        local left = deadline - sys.now()
        if left <= 0 then return false end
        process.pump(left)
    end
    return true
end

-- Waits for its end. Returns exit code, signal (one is nil); raises after timeout_s (default 30).
function Handle:wait(timeout_s)
    local ended = pump_until(function() return not self.pidfd end, timeout_s or 30)
    if not ended then
        error(("still running after %g s: %s"):format(timeout_s or 30, self:describe()), 2)
    end
    process.pump(0)
    return self.code, self.signal
end

function Handle:destroy()
    sys.kill(-self.child, "KILL")
    if self.pidfd then
        sys.kill(self.child, "KILL") -- if it has changed its group
        pump_until(function() return not self.pidfd end, 10)
    end
    for _, name in ipairs { "in_fd", "out_fd", "err_fd" } do close(self, name) end
    live[self] = nil
end

-- Runs a program to its end: { code, signal, out, err, seconds }. It has ended when it is gone
-- and nobody holds its stdout or stderr any more. Raises, and kills it, after opts.timeout.
function process.run(argv, opts)
    local timeout_s = opts and opts.timeout or 30
    local handle = process.spawn(argv, opts)
    local ended = pump_until(function() return not live[handle] end, timeout_s)
    local gone = not handle.pidfd
    local description = not ended and handle:describe()
    handle:destroy()
    if not ended then
        local what = gone and "ended, but its output is still held open" or "still running"
        error(("%s after %g s: %s"):format(what, timeout_s, description), 2)
    end
    return { code = handle.code, signal = handle.signal,
             seconds = handle.ended_at - handle.started_at,
             out = table.concat(handle.parts.out), err = table.concat(handle.parts.err) }
end

-- Pids (not our own) whose command line or environment contains the text.
function process.find(text_wanted)
    local lfs, found, own = require "lfs", {}, sys.pid()
    for name in lfs.dir("/proc") do
        local pid = tonumber(name)
        if pid and pid ~= own then
            for _, file in ipairs { "cmdline", "environ" } do
                local f = io.open(("/proc/%d/%s"):format(pid, file), "rb")
                local content = f and f:read("*a")
                if f then f:close() end
                if content and content:find(text_wanted, 1, true) then
                    found[#found + 1] = pid
                    break
                end
            end
        end
    end
    table.sort(found)
    return found
end

local function kept_alive()
    for handle in pairs(live) do
        if handle.keep then return true end
    end
end

-- Kills what is left of this spec, or with all = true also what was to be kept until the end of
-- the file. Descendants that went their own way are found by the token.
function process.clean(all)
    if not process.used then return end
    for _, handle in ipairs(process.handles()) do
        if all or not handle.keep then handle:destroy() end
    end
    if not all and kept_alive() then return end
    for _ = 1, MAX_SWEEPS do
        local left = process.find(process.token)
        if #left == 0 then break end
        for _, pid in ipairs(left) do sys.kill(pid, "KILL") end
        process.pump(0.01)
    end
    process.used = false
end

function process.handles()
    local list = {}
    for handle in pairs(live) do list[#list + 1] = handle end
    return list
end

return process
