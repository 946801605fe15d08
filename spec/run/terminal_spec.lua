-- What a person sees: `run` on a terminal of 80 × 24 and on a narrow one.

local t = require "support"
local project = require "run.project"

local Terminal = {}
Terminal.__index = Terminal

-- Starts a shell command in a tmux of its own; what it showed can be looked at until the spec ends.
local function open(p, command, opts)
    opts = opts or {}
    local self = setmetatable({ socket = p.dir .. "/tmux" }, Terminal)
    local env = { QUEUECTL_STORE = p.store, WITNESS = p.witness, NO_COLOR = false, TMUX = false }
    p:write(([[
        stty -echoctl
        %s
        echo "exit code $?" >>ended
        sleep 1000
    ]]):format(command), "command.sh")
    t.spawn({ "tmux", "-S", self.socket, "-f", "/dev/null", "-D" },
            { cwd = p.dir, env = env })
    t.eventually(function() return t.exists(self.socket) end, 10, "tmux listens")
    t.eventually(function()
        local r = self:tmux("new-session", "-d", "-x", opts.columns or 80, "-y", opts.rows or 24,
                              "-c", p.dir, "sh", "command.sh")
        return r.code == 0
    end, 10, "tmux has a session")
    self.ended = p.dir .. "/ended"
    return self
end

function Terminal:tmux(...)
    return t.run { "tmux", "-S", self.socket, "-f", "/dev/null", ... }
end

-- The lines on the screen now; with all, also those above it. With escapes: colours too.
function Terminal:lines(all, escapes)
    local argv = { "capture-pane", "-p" }
    if all then argv[#argv + 1], argv[#argv + 2] = "-S", "-" end
    if escapes then argv[#argv + 1] = "-e" end
    local lines = project.lines(self:tmux(unpack(argv)).out)
    while lines[#lines] == "" do lines[#lines] = nil end
    return lines
end

function Terminal:text(all, escapes) return table.concat(self:lines(all, escapes), "\n") end

function Terminal:wait(timeout_s)
    return t.eventually(function()
        return tonumber(t.read_file(self.ended):match("exit code (%d+)\n"))
    end, timeout_s or 30, "it has ended")
end

-- Waits until the pattern is on the screen and returns the screen.
function Terminal:see(pattern)
    return t.eventually(function()
        local text = self:text()
        return text:find(pattern) and text
    end, 20, pattern)
end

local REASON = ("a reason that is much too long for one line of a terminal, "):rep(2) .. "THE END"

local function many(n, retries)
    return ([[
        for i = 1, %d do
            job("a job with quite a long name, as a matrix makes them, number " .. i) {
                run = i %% 2500 == 0 and { "sh", "-c", "echo '%s' >&2; exit 3" } or { "true" },
                retries = %d,
            }
        end
        job "after" {
            needs = "a job with quite a long name, as a matrix makes them, number 2500",
            run = "true",
        }
    ]]):format(n, REASON, retries or 0)
end

local function assert_narrow(lines, columns)
    for _, line in ipairs(lines) do
        assert(project.columns(line) <= columns, "wider than the terminal: " .. line)
    end
end

-- Nothing may stand in a line of its own because the one above it was too long: a full line would.
local function assert_not_full(lines, columns)
    for _, line in ipairs(lines) do
        assert(project.columns(line) < columns or line:find("…$"), "it may have wrapped: " .. line)
    end
end

describe("run on a terminal", function()
    it("shows ten thousand jobs in a few lines, and keeps what went wrong", function()
        local p = project.new(many(10000))
        local terminal = open(p, "queuectl run jobs.lua")
        -- More than nothing done: then some run, too.
        local live = terminal:see "%] [1-9][%d,]*/10,001"
        assert_not_full(project.lines(live), 80)
        assert.matches("\n  a job with quite a long name[^\n]*  +[%d,]+/10,000", live)
        assert.equal(1, terminal:wait(80))
        local lines = terminal:lines(true)
        assert_not_full(lines, 80)
        assert(#lines < 50, #lines .. " lines for 4 failures")
        local text = table.concat(lines, "\n")
        assert.equal("run 1: 10,001 jobs on ", lines[1]:match("^run 1: 10,001 jobs on "))
        local _, dead = text:gsub("\ndead      a job with quite a long[^\n]*  exit 3: a reason", "")
        assert.equal(4, dead)
        assert.matches("\nskipped   after (needs 'a job with quite", text, 1, true)
        assert.matches("\n9,996 completed, 4 dead, 1 skipped in ", text, 1, true)
        -- The whole reason stands at the end, broken at the edge.
        assert.equal(4, select(2, text:gsub("THE END", "")))
        assert.is_nil(text:find("running", 1, true))
        assert.is_nil(text:find("]", 1, true))
    end)

    it("shows less than a hundred jobs one by one", function()
        local p = project.new(many(3))
        p:write [[ for i = 1, 3 do job("j" .. i) { run = "true" } end ]]
        local terminal = open(p, "queuectl run -j 1 jobs.lua")
        assert.equal(0, terminal:wait())
        local text = terminal:text():gsub("%d+%.%d+ s", "N s")
        assert.equal("run 1: 3 jobs on 1 slot\ncompleted j1  N s\ncompleted j2  N s\n"
            .. "completed j3  N s\n3 completed in N s", text)
    end)

    it("shows how far a Lua job is", function()
        local p = project.new [[ job "load" { run = function(_, ctx)
            ctx.progress(0.42, "rows of a table")
            ctx.exec { "sh", "-c", "while [ ! -e go ]; do sleep 0.02; done" }
        end } ]]
        local terminal = open(p, "queuectl run jobs.lua")
        assert.matches("  running   load  [%d.]+ s   42 %% rows of a table\n%[ +%] 0/1  [%d.]+ s$",
                       terminal:see "rows of a table")
        p:write("", "go")
        assert.equal(0, terminal:wait())
        assert.is_nil(terminal:text():find("rows", 1, true))
    end)

    it("fits into 40 columns", function()
        local p = project.new(many(20):gsub("2500", "7"))
        local terminal = open(p, "queuectl run jobs.lua", { columns = 40 })
        assert.equal(1, terminal:wait())
        local lines = terminal:lines(true)
        assert_narrow(lines, 40)
        local text = table.concat(lines, "\n")
        assert.matches("\ndead      a job with qu…  exit 3: a re…\n", text, 1, true)
        assert.equal(2, select(2, text:gsub("THE END", "")))
    end)

    local HELD = "while [ ! -e go ]; do sleep 0.02; done"

    it("shows groups where there are more jobs than lines, also when it becomes narrow", function()
        local p = project.new(([[
            local wait = %q
            for i = 1, 30 do job("resize[size=" .. i .. "]") { run = wait } end
            for i = 1, 30 do job("図面" .. i) { run = wait } end
            job "bad" { run = "exit 9", retries = 0, priority = 5 }
        ]]):format(HELD))
        local terminal = open(p, "queuectl run -j 40 jobs.lua")
        terminal:see "\n  resize%[…%]  0/30  30 running\n  図面… +0/30  10 running\n"
        terminal:see "running   resize%[size=1%]  %d[^%%]+… and %d+ more running\n%[ +%] 1/61  1 f"
        terminal:tmux("resize-window", "-x", "40", "-y", "8")
        local live = terminal:see("  resize%[…%] +0/30  30 running\n[^%%]+"
            .. "… and %d+ more running\n%[ +%] 1/61  1 failed  [^\n ]+ s$")
        assert_narrow(project.lines(live), 40)
        assert(#project.lines(live) <= 8)
        terminal:tmux("resize-window", "-x", "100", "-y", "30")
        terminal:see "running   resize%[size=1%]  %d"
        p:write("", "go")
        assert.equal(1, terminal:wait())
        -- What a lower terminal has pushed out at its top cannot be taken back.
        assert.is_nil(terminal:text():match("completed.*"):find("running", 1, true))
    end)

    it("keeps the names of failed jobs in view", function()
        local p = project.new(([[
            job "early" { run = "exit 9", retries = 0, priority = 9 }
            for i = 1, 90 do job("j" .. i) { run = "true" } end
            job "last" { run = %q }
        ]]):format(HELD))
        local terminal = open(p, "queuectl run -j 1 jobs.lua", { rows = 12 })
        local live = terminal:see "\n  failed    early\n"
        assert.is_nil(live:find("dead", 1, true))
        p:write("", "go")
        assert.equal(1, terminal:wait())
    end)

    it("says how long a job took before", function()
        local p = project.new([==[ job "a" { run = [=[if [ -e again ]; then
            while [ ! -e go ]; do sleep 0.02; done; else sleep 1.1; fi]=] } ]==])
        p:run(0)
        p:write("", "again")
        local terminal = open(p, "queuectl run jobs.lua")
        terminal:see "  running   a  %d%.%d s of ~1.1 s\n"
        p:write("", "go")
        assert.equal(0, terminal:wait())
    end)

    it("uses colour, but not with NO_COLOR or TERM=dumb", function()
        local text = [[ job "a" { run = "exit 1", retries = 0 } ]]
        local p = project.new(text)
        local terminal = open(p, "queuectl run jobs.lua")
        terminal:wait()
        assert.matches("\27[31mdead", terminal:text(false, true), 1, true)
        for _, prefix in ipairs { "NO_COLOR=1 ", "TERM=dumb " } do
            p = project.new(text)
            terminal = open(p, prefix .. "queuectl run jobs.lua")
            terminal:wait()
            assert.is_nil(terminal:text(false, true):find("\27", 1, true))
            assert.matches("dead +a", terminal:text())
        end
    end)

    it("takes Ctrl-C once to finish what runs, and twice to stop it", function()
        local p = project.new [[
            job "hold" { run = "echo held >>$WITNESS; while [ ! -e go ]; do sleep 0.02; done" }
            job "next" { needs = "hold", run = "true" }
        ]]
        local terminal = open(p, "trap : INT; queuectl run jobs.lua")
        terminal:see "running   hold"
        t.eventually(function() return #p:witnessed() == 1 end)
        terminal:tmux("send-keys", "C-c")
        terminal:see "stopping    finishing what runs; once more to stop it now"
        terminal:see "running   hold"
        terminal:tmux("send-keys", "C-c")
        assert.equal(130, terminal:wait())
        local text = terminal:text():gsub("\n", "")
        assert.matches("stopped   hold  will run again1 pending, 1 waiting in", text, 1, true)
        assert.matches("2 jobs left; go on with: queuectl run --resume jobs.lua", text, 1, true)
        p:write("", "go")
        p:run(0, "--resume")
    end)

    it("is whole again when the terminal is resized", function()
        local p = project.new [[
            job "hold" { run = "while [ ! -e go ]; do sleep 0.02; done" }
        ]]
        local terminal = open(p, "queuectl run jobs.lua")
        terminal:see "running   hold"
        terminal:tmux("resize-window", "-x", "30", "-y", "10")
        terminal:see "running   hold"
        p:write("", "go")
        assert.equal(0, terminal:wait())
        assert_narrow(terminal:lines(), 30)
        assert.is_nil(terminal:text():find("running", 1, true))
    end)
end)
