-- Lua jobs are forked by a process that has read their file once. Whatever happens to it, its jobs
-- are run all the same, each once.

local t = require "support"
local project = require "run.project"

-- In a Lua job: a word into the witness file.
local WITNESS = [[
local function witness(word)
    local file = assert(io.open(os.getenv "WITNESS", "a"))
    file:write(word, "\n")
    file:close()
end
local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
end
]]

-- Processes of this user whose command line begins with `name`, by what their environment says of
-- the store.
local function processes(p, name)
    local found = {}
    for pid in t.run({ "pgrep", "-f", "^" .. name }).out:gmatch("%d+") do
        local file = io.open("/proc/" .. pid .. "/environ", "rb")
        local env = file and file:read("*a") or ""
        if file then file:close() end
        if env:find("QUEUECTL_STORE=" .. p.store .. "\0", 1, true) then
            found[#found + 1] = tonumber(pid)
        end
    end
    return found
end

describe("the warm process of a jobs file", function()
    it("reads the file once for all jobs, its forks and the guardian's children", function()
        local p = project.new(WITNESS .. [[
            if read "/proc/self/cmdline":find "lua%-warm" then witness "read" end
            for i = 1, 20 do
                job("j" .. i) { run = function()
                    local stat = read "/proc/self/stat"
                    local parent = stat:match "%) %S (%d+)"
                    witness(read("/proc/" .. parent .. "/cmdline"):match "^[^%z]+")
                end }
            end]])
        p:run(0)
        local count = {}
        for _, word in ipairs(p:witnessed()) do count[word] = (count[word] or 0) + 1 end
        assert.same({ read = 1, ["queuectl-guardian"] = 20 }, count)
    end)

    it("leaves its jobs apart: what one changes, the next does not see", function()
        local p = project.new(WITNESS .. [[
            local counter = 0
            for i = 1, 5 do
                job("j" .. i) { run = function()
                    counter = counter + 1
                    string.rep = nil
                    witness(counter)
                end }
            end]])
        p:run(0)
        assert.same({ "1", "1", "1", "1", "1" }, p:witnessed())
    end)

    it("gives each job its environment, folder, input, session and no more descriptors", function()
        local p = project.new(WITNESS .. [[
            job "a" { env = { A = "x y", HOME = false }, cwd = "sub", stdin = "given",
                run = function(_, ctx)
                    witness(os.getenv "A" .. " " .. tostring(os.getenv "HOME"))
                    witness(os.getenv "QUEUECTL_JOB_NAME" .. " " .. os.getenv "QUEUECTL_ATTEMPT")
                    witness(ctx.exec { "pwd" }.stdout:match "[^/]+\n$":sub(1, -2))
                    witness(io.read "*a")
                    local stat = read "/proc/self/stat"
                    local pid, group, session = stat:match "^(%d+) .-%) %S %d+ (%d+) (%d+)"
                    witness(tostring(pid == group and pid == session))
                    local fds = ctx.exec { "sh", "-c", "ls /proc/$$/fd; true" }.stdout
                    witness((fds:gsub("\n", " ")))
                    witness(ctx.exec { "sh", "-c", 'echo "$A"' }.stdout)
                end }]])
        assert(t.run({ "mkdir", p.dir .. "/sub" }).code == 0)
        p:run(0)
        local words = p:witnessed()
        assert.same({ "x y nil", "a 1", "sub", "given", "true", "0 1 2 ", "x y" }, words)
    end)

    it("reports a folder that is missing as the job's failure", function()
        local p = project.new [[job "a" { cwd = "nowhere", retries = 0, run = function() end }
            job "b" { run = function() end }]]
        p:run(1)
        assert.matches("cwd: .*nowhere: No such file or directory", p:show("a").last_error)
        assert.equal("completed", p:states().b)
    end)

    it("is replaced when it is killed, and no job is lost or run twice", function()
        local p = project.new(WITNESS .. [[
            for i = 1, 300 do
                job("j" .. i) { run = function() witness("j" .. i) end }
            end]])
        local run = p:spawn("run", "-j", "2", "jobs.lua")
        local killed = 0
        while run:running() and killed < 5 do
            for _, pid in ipairs(processes(p, "queuectl-lua")) do
                -- Of the warm process alone: its forks have its name, and sessions of their own.
                local stat = io.open("/proc/" .. pid .. "/environ")
                if stat then stat:close() end
                if t.run({ "pgrep", "-P", tostring(pid) }).out == "" and killed < 5 then
                    t.kill(pid, "KILL")
                    killed = killed + 1
                    break
                end
            end
        end
        assert.equal(0, (run:wait(60)))
        assert.is_true(killed > 0)
        local count = {}
        for _, word in ipairs(p:witnessed()) do count[word] = (count[word] or 0) + 1 end
        for i = 1, 300 do assert.is_true((count["j" .. i] or 0) >= 1, "j" .. i) end
    end)

    it("is not tried again when it ends while it reads the file: the jobs are executed anew",
        function()
        local p = project.new(WITNESS .. [[
            if read "/proc/self/cmdline":find "lua%-warm" then
                witness "warm"
                require "ffi".cast("int *", 0)[0] = 1
            end
            for i = 1, 5 do
                job("j" .. i) { run = function()
                    witness(read "/proc/self/cmdline":match "lua%-job")
                end }
            end]])
        p:run(0, { ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":handle_segv=0" })
        assert.same({ "warm", "lua-job", "lua-job", "lua-job", "lua-job", "lua-job" },
                    p:witnessed())
    end)

    it("is given up when it hangs while it reads the file", function()
        local p = project.new(WITNESS .. [[
            if read "/proc/self/cmdline":find "lua%-warm" then while true do end end
            job "a" { run = function() witness "ran" end }]])
        p:run(0)
        assert.same({ "ran" }, p:witnessed())
    end)

    it("ends with its worker, and so do its forks", function()
        local p = project.new(WITNESS .. [[
            job "a" { run = function() witness "began"; while true do end end }
            job "b" { run = function() while true do end end }]])
        local run = p:spawn("run", "-j", "2", "jobs.lua")
        t.eventually(function() return #p:witnessed() > 0 end, 10)
        local before = #processes(p, "queuectl-lua")
        assert.is_true(before >= 3)
        for _, name in ipairs { "queuectl worker start", "queuectl-guardian" } do
            for _, pid in ipairs(processes(p, name)) do t.kill(pid, "KILL") end
        end
        run:kill("KILL")
        run:wait(5)
        t.eventually(function() return #processes(p, "queuectl-lua") == 0 end, 10,
            "the end of all Lua processes")
    end)

    it("stops a forked job at its time limit, and one that is cancelled", function()
        local p = project.new [[
            job "slow" { retries = 0, timeout = "200ms", kill_after = "100ms",
                run = function() while true do end end }
            job "b" { needs = { { "slow", on = "done" } }, run = function() end }]]
        p:run(1)
        assert.matches("timed out", p:show("slow").last_error)
        assert.equal("completed", p:states().b)
    end)
end)
