-- Every command line that the README and `queuectl help COMMAND` show works as it is shown.

local t = require "support"

local JOBS = [[ local version = param "version" { default = "1.0" }
job "build" { run = "true", env = { VERSION = version } }
job "test" { needs = "build", run = "true" } ]]

-- What a command line needs before it can do what it says, each with a fresh store.
local RAN = "queuectl run jobs.lua"
local PREPARE = {
    { "^queuectl run %-%-resume", "queuectl run jobs.lua -p version=1.2; "
        .. "queuectl run --detach jobs.lua" },
    { "^queuectl run %-%-from", RAN },
    { "^queuectl runs show", RAN },
    { "^queuectl runs cancel", "queuectl run --detach jobs.lua" },
    { "^queuectl enqueue", "true" }, -- makes job1 itself
    { "^queuectl cancel job1", "queuectl enqueue --id job1 true" },
    { "^queuectl retry job1", "queuectl enqueue --id job1 --retries 0 false; "
        .. "queuectl worker start --until-empty" },
    { "^queuectl runs", "queuectl run --detach jobs.lua" },
    { "job1", "queuectl enqueue --id job1 true; queuectl worker start --until-empty" },
}

local function prepare(dir, line, env)
    t.write_file(dir .. "/jobs.lua", JOBS)
    for _, case in ipairs(PREPARE) do
        if line:find(case[1]) then
            local r = t.run(case[2], { cwd = dir, env = env })
            assert.equal(0, r.code, r.err)
            return
        end
    end
end

-- --watch goes on until it is told to stop: once the first round is over.
local function stop_watching(line, opts)
    local p = t.spawn((line:gsub("^queuectl", "exec queuectl")), opts)
    t.eventually(function() return p:err():find("waiting for a change", 1, true) end, 30)
    p:kill "INT"
    local code = p:wait(30)
    assert.matches("\n2 completed in ", p:out())
    return { code = code, out = p:out(), err = p:err() }
end

-- Runs a line the way a reader would; returns the result.
local function try(line)
    local dir = t.tmpdir()
    -- Some lines are for the inside of a job.
    local env = { QUEUECTL_STORE = dir .. "/q.db",
        QUEUECTL_REPORT = line:find "^queuectl report" and dir .. "/report" or false }
    prepare(dir, line, env)
    if line:find "%-%-watch" then return stop_watching(line, { cwd = dir, env = env }) end
    return t.run(line, { cwd = dir, env = env, timeout = 60 })
end

local function shell_lines(text)
    local lines = {}
    for block in text:gmatch("\n```sh\n(.-)\n```") do
        for line in block:gmatch("[^\n]+") do lines[#lines + 1] = line:match("^(.-)%s*$") end
    end
    return lines
end

local function help_of(words)
    local r = t.run { t.binary, "help", unpack(words) }
    assert.equal(0, r.code, r.err)
    return r.out
end

-- Names of commands, sub-commands included: "run", "worker start" …
local function commands()
    local names = {}
    for name in help_of({}):match("Commands:\n(.-)\n\n"):gmatch("  ([%w-]+) [^\n]*") do
        local group = {}
        for sub in help_of({ name }):gmatch("\n  " .. name .. " (%w+) ") do
            group[#group + 1] = name .. " " .. sub
        end
        if #group == 0 then group[1] = name end
        for _, full in ipairs(group) do names[#names + 1] = full end
    end
    return names
end

local readme, guide = t.read_file "README.md", t.read_file "lua/queuectl/README.md"

local function blocks(text, language)
    local found = {}
    for block in text:gmatch("\n```" .. language .. "\n(.-)```") do found[#found + 1] = block end
    return found
end

-- What the newest job of that name has printed.
local function log_of(store, name)
    for _, job in ipairs(t.json(t.q(store, "list", "--json").out)) do
        if job.name == name then return t.q(store, "logs", job.id).out end
    end
end

-- Runs a block of Lua as the jobs file it is, with the sources it speaks of beside it.
local function run_block(block)
    local dir = t.tmpdir()
    t.write_file(dir .. "/jobs.lua", block)
    t.write_file(dir .. "/main.c", "int answer(void);\nint main(void) { return answer(); }\n")
    t.write_file(dir .. "/util.c", "int answer(void) { return 0; }\n")
    for _, name in ipairs { "/dump.sh", "/upload.sh" } do
        t.write_file(dir .. name, "#!/bin/sh\n")
        assert.equal(0, t.run({ "chmod", "+x", dir .. name }).code)
    end
    local opts = { cwd = dir, env = { QUEUECTL_STORE = dir .. "/q.db" } }
    local r = t.run({ t.binary, "check", "jobs.lua" }, opts)
    assert.equal(0, r.code, r.out .. r.err)
    r = t.run({ t.binary, "run", "jobs.lua" }, opts)
    assert.equal(0, r.code, r.out .. r.err)
    return r, dir, opts
end

describe("the README", function()
    for _, line in ipairs(shell_lines(readme)) do
        if line:find "^queuectl " then
            it("can say: " .. line, function()
                local r = try(line)
                assert.equal(0, r.code, r.out .. r.err)
            end)
        elseif not line:find "^cmake %-%-install" then
            it("names a script that is there: " .. line, function()
                local script, file = line:match("^(scripts/%w+)%s*([%w_/.]*)")
                assert.is_not_nil(script, "neither queuectl nor a script")
                assert.equal(0, t.run({ "test", "-x", script }).code)
                if file:find "%S" then assert.is_true(t.exists(file)) end
            end)
        end
    end

    it("has a jobs file that runs as shown", function()
        local r, _, opts = run_block(blocks(readme, "lua")[1])
        assert.matches("\n6 completed, 1 skipped in ", r.out)
        r = t.run("queuectl run -p version=1.1 jobs.lua", opts)
        assert.equal(0, r.code, r.out .. r.err)
        assert.matches("\n7 completed in ", r.out)
        local store = opts.env.QUEUECTL_STORE
        assert.equal("publishing app-1.1.tar\n", log_of(store, "publish"))
    end)

    for i, block in ipairs(blocks(readme, "lua")) do
        it("has jobs that run, block " .. i, function() run_block(block) end)
    end

    it("has a Makefile that does what the jobs below it do", function()
        local _, dir = run_block(blocks(readme, "lua")[2])
        assert.is_true(t.exists(dir .. "/app"))
        assert.equal(0, t.run({ "rm", dir .. "/app" }).code)
        t.write_file(dir .. "/Makefile", blocks(readme, "make")[1])
        assert.equal(0, t.run({ "make", "test" }, { cwd = dir }).code)
        assert.is_true(t.exists(dir .. "/app"))
    end)

    it("installs with the line it shows", function()
        local line = readme:match("\n(cmake %-%-install build [^\n]-)%s*#")
        local home = t.tmpdir()
        local r = t.run((line:gsub(" build ", " '" .. t.build .. "' ")), { env = { HOME = home } })
        assert.equal(0, r.code, r.err)
        r = t.run({ home .. "/.local/bin/queuectl", "version" })
        assert.equal(0, r.code, r.err)
    end)

    it("names every command, and no other", function()
        for _, name in ipairs(commands()) do
            assert(readme:find("queuectl " .. name, 1, true), name .. " is missing")
        end
        local known = {}
        for _, name in ipairs(commands()) do known[name:match("^%S+")] = true end
        local code = "\n" .. table.concat(shell_lines(readme), "\n")
        for name in (code .. readme:gsub("\n", " ")):gmatch("[\n`]queuectl (%l+)") do
            assert(known[name], "there is no command " .. name)
        end
    end)

    it("names every key of a job, and every exit code of help", function()
        local schema = require "queuectl.schema"
        local keys = readme:match("Keys of a job: (.-)%. A misspelt")
        local named = {}
        for key in keys:gmatch("`([%w_]+)`") do named[key] = true end
        for key in pairs(schema.job) do assert(named[key], key .. " is missing") end
        for key in pairs(named) do assert(schema.job[key], key .. " is no key") end
        for code in help_of({ "exit-codes" }):gmatch("\n +(%d+)  ") do
            assert(readme:find("\n| " .. code .. "[ ,]"), code .. " is missing")
        end
    end)

    it("names examples that are there", function()
        for name in readme:gmatch("`(%w+%.lua)`") do
            assert(name == "jobs.lua" or t.exists("scripts/examples/" .. name), name)
        end
    end)

    it("is short", function()
        assert(select(2, readme:gsub("\n", "")) <= 320)
    end)
end)

describe("the reference", function()
    for i, block in ipairs(blocks(guide, "lua")) do
        it("has jobs that run, block " .. i, function() run_block(block) end)
    end

    it("explains every key of a job, and no other", function()
        local schema = require "queuectl.schema"
        local explained = {}
        local rows = guide:match("| key | value, default | meaning |\n(.-)\n\n")
        for row in rows:gmatch("\n| (`[^|]+`) |") do
            for key in row:gmatch("`([%w_]+)`") do
                assert(schema.job[key], key .. " is no key")
                explained[key] = true
            end
        end
        for key in pairs(schema.job) do assert(explained[key], key .. " is missing") end
    end)

    it("names all of ctx, and nothing else", function()
        local dir = t.tmpdir()
        t.write_file(dir .. "/jobs.lua", [[
            local function tell(prefix, space)
                for name, value in pairs(space) do
                    print(prefix .. name)
                    if type(value) == "table" and value ~= space.params then
                        tell(prefix .. name .. ".", value)
                    end
                end
            end
            job "tell" { run = function(_, ctx) tell("ctx.", ctx) end, timeout = "1m" }
        ]])
        local store = dir .. "/q.db"
        local r = t.run({ t.binary, "run", "jobs.lua" },
                        { cwd = dir, env = { QUEUECTL_STORE = store } })
        assert.equal(0, r.code, r.out .. r.err)
        local there = {}
        for name in log_of(store, "tell"):gmatch("[^\n]+") do
            there[name] = true
            assert(guide:find(name .. "[^%w_]"), name .. " is missing")
        end
        assert.is_true(there["ctx.fs.temp_dir"])
        for name in guide:gmatch("ctx%.[%l_.]*[%l_]") do
            local known = there[name] or name:find "^ctx%.needs" or name:find "^ctx%.outputs"
            assert(known, name .. " is not there")
        end
    end)
end)

describe("help", function()
    for _, name in ipairs(commands()) do
        local words = {}
        for word in name:gmatch("%S+") do words[#words + 1] = word end
        local text = help_of(words)

        it("has an example of " .. name, function()
            assert.matches("\nExamples:\n  [^\n]*queuectl " .. name:gsub("%-", "%%-"), text)
        end)

        for line in (text:match("\nExamples:\n(.*)$") or ""):gmatch("\n?  (%S[^\n]*)\n      ") do
            it("can say: " .. line, function()
                local r = try(line)
                assert.equal(0, r.code, r.out .. r.err)
            end)
        end
    end
end)
