-- What other processes do in the specs of the store: luajit child.lua WHAT URL [ARGUMENTS].

package.path = "./spec/?.lua;./spec/?/init.lua;" .. package.path

local store = require "support.store"

local function say(text)
    io.write(text, "\n")
    io.flush()
end

local what = {}

-- Claims and finishes all there is, `max` at a time; prints each seq.
function what.drain(url, worker, max)
    local s = store.open(url)
    say "ready"
    io.read()
    repeat
        local jobs = s:claim { worker = tonumber(worker), max = tonumber(max) }
        s:tx(function()
            for _, job in ipairs(jobs) do
                if s:finish(job) ~= 1 then say("stale " .. job.seq) end
            end
        end)
        for _, job in ipairs(jobs) do say(job.seq) end
    until #jobs == 0
    s:close()
    say "end"
end

-- Works without end, to be killed; a job of three fails.
function what.work(url, worker)
    local s = store.open(url)
    while true do
        s:enqueue_many(20, { backoff = "fixed none 0 1 0" })
        for i, job in ipairs(s:claim { worker = tonumber(worker), max = 15 }) do
            s:output_add(job, { { offset = 0, data = ("x"):rep(100) } }, 100)
            s:finish(job, { exit_code = i % 3 == 0 and 1 or 0 })
            say(job.seq)
        end
    end
end

-- Waits for the write lock.
function what.begin(url)
    local s = store.open(url)
    say "waiting"
    local ok, e = pcall(s.begin, s)
    say(ok and "got it" or tostring(e))
    s:rollback()
end

-- Holds the write lock until a line comes.
function what.hold(url)
    local s = store.open(url)
    s:begin()
    say "held"
    io.read()
    s:rollback()
end

-- Enqueues and rings.
function what.enqueue(url, n)
    local s = store.open(url)
    s:enqueue_many(tonumber(n))
    s:ring()
    say "done"
end

what[arg[1]](unpack(arg, 2))
