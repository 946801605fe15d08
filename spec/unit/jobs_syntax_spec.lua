-- What people write who come from other tools, and what they are told.

local jobs = require "queuectl.jobs"

local CASES = {
    { 'job "a" {\n  run = "x"\n  needs = "y",\n}', 3, " (is a comma missing before needs?)" },
    { 'job "a" {\n  run: "x",\n}', 2, " (write run = ...)" },
    { 'job "a" { run: "x" }', 1, " (write run = ...)" },
    { 'job "a" { timeout-minutes = 5 }', 1, " (did you mean 'timeout'?)" },
    { 'job "a" { runs-on = "x" }', 1, "; a job runs programs of this machine: call them in run" },
    { 'job "a" { run = "x", meta = { my-key = 1 } }', 1, ' (write ["my-key"] = ...)' },
    { 'job "a" { if = true }', 1, " (did you mean 'when'?)" },
    { 'job "a" { run = "x\ny" }', 1, " (text over several lines stands in [[ ]])" },
    { 'job "a" { run = "echo \\$HOME" }', 1,
        " (write \\\\ for \\, or put the text into [[ ]])" },
    { 'job "a" { run = [[ [[ -f x ]] && y ]] }', 1,
        " (text that has ]] in it stands in [=[ ]=])" },
    { 'job "a" { needs = ["b"] }', 1, " (a list is { ... })" },
    { "job a { }", 1, ' (write job "a" { ... })' },
    { 'if os.getenv "X" != "y" then end', 1, " (write ~= for !=)" },
}

describe("text that is no Lua", function()
    for _, case in ipairs(CASES) do
        it("is met with what is meant: " .. case[1]:gsub("\n", " "), function()
            local plan, message = jobs.plan(case[1], "/x/jobs.lua", { display = "jobs.lua" })
            assert.is_nil(plan)
            assert.equal(1, message:find("jobs.lua:" .. case[2] .. ": ", 1, true), message)
            assert.equal(case[3], message:sub(-#case[3]), message)
        end)
    end

    it("is left alone where nothing is known of it", function()
        local _, message = jobs.plan('job "a" { run = "cd "x"" }', "/x/jobs.lua",
                                     { display = "jobs.lua" })
        assert.matches("near 'x'$", message)
    end)

    it("hints at nothing in a file that Lua accepts", function()
        assert.is_table(jobs.plan('local a = 1 goto c\n::c::\njob "a" { run = "echo a: b" }',
                                  "/x/jobs.lua"))
    end)

    it("of a job that is not a variable says how to name it", function()
        local _, message = jobs.plan('job "b" { run = "x" }\njob "a" { run = "x", needs = b }',
                                     "/x/jobs.lua", { display = "jobs.lua" })
        assert.equal([[jobs.lua:2: undefined variable 'b' (for the job write "b", or before it: ]]
            .. [[local b = job "b" ...)]], message)
    end)
end)
