-- A job with any settings the store knows, in the form of core/job_fields.h: added to a run by
-- another job, and worked there.

local Queue = require "worker.queue"
local channel = require "worker.channel"
local t = require "support"

local function literal(text)
    return ("%q"):format(text):gsub("\\\n", "\\n"):gsub("%z", "\\0")
end

-- fields: { command = "…", limits = "…", … }; options: env of the worker, and q, a queue to use.
-- The job, the queue, and what `run` printed. It is named "it" and runs in the queue's folder.
return function(fields, options)
    options = options or {}
    local q = options.q or Queue.new()
    local all = { name = "it", cwd = q.dir, retries = "0" }
    for key, value in pairs(fields) do all[key] = value end
    local parts = {}
    for key, value in pairs(all) do
        parts[#parts + 1] = ("field(%q, %s)"):format(key, (literal(value)))
    end
    local file = t.write_file(q:path("jobs.lua"), channel .. ([[
        job "adder" { run = function() tell("e", %s) end }]]):format(
            table.concat(parts, " .. ")))
    local got = t.run({ t.binary, "--store", q.store, "run", file, unpack(options) },
                      { timeout = 60, cwd = q.dir, env = options.env })
    assert(q:named("adder").state == "completed", q:named("adder").last_error)
    return q:named("it"), q, got
end
