#!/usr/bin/env -S queuectl run
-- Adds up orders that lie in many files: one job per file, and one that reduces what they found.
--
--   scripts/run scripts/examples/data.lua
--   scripts/run scripts/examples/data.lua -p shards=40 -p rows=20000
--
-- All of it is Lua. It shows a matrix whose values a loop makes, outputs of all its jobs read by
-- another, jobs that are added while the run is under way, JSON and files.

local shards = param "shards" { type = "integer", default = 8, min = 1, max = 200,
    desc = "files of orders" }
local rows = param "rows" { type = "integer", default = 5000, min = 1, desc = "orders in each" }

local folder, prepare = require "lib.scratch" ("data", { "in", "parts", "letters", "RESULT.json" })

defaults { cwd = folder, retries = 1, timeout = "5m" }

local COUNTRIES = { "AT", "DE", "FR", "IN", "JP", "PL" }

-- Values of a matrix are plain lists, so a loop or a function may make them. The numbers have the
-- same width: jobs and files are then listed in their order.
local numbers = {}
for i = 1, shards do numbers[i] = ("%03d"):format(i) end

-- Orders nobody ever made. Locals of the file, as COUNTRIES is, are there in the function: its
-- process has read the file, as it was when the run began.
local generate = job "generate" {
    needs = prepare,
    run = function(_, ctx)
        ctx.fs.mkdir "in"
        ctx.fs.mkdir "parts"
        ctx.fs.mkdir "letters"
        math.randomseed(1) -- the same ones each time
        for i, number in ipairs(numbers) do
            local lines = {}
            for row = 1, rows do
                lines[row] = ("%s,%d\n"):format(COUNTRIES[math.random(#COUNTRIES)],
                    math.random(1, 500))
            end
            ctx.fs.write("in/" .. number .. ".csv", table.concat(lines))
            ctx.progress(i / #numbers)
        end
    end,
}

-- count[shard=001], count[shard=002] … The first argument has what the job is: here its values of
-- the matrix. A table that is returned has the outputs: small values, by which others can be
-- told what there is. What is large goes into a file.
local count = job "count" {
    needs = generate,
    matrix = { shard = numbers },
    limits = { memory = "256M" },
    run = function(job, ctx)
        local shard = job.matrix.shard
        local sums, n, total = {}, 0, 0
        for country, cents in ctx.fs.read("in/" .. shard .. ".csv"):gmatch("(%u+),(%d+)\n") do
            sums[country] = (sums[country] or 0) + cents
            n, total = n + 1, total + cents
        end
        if n == 0 then return ctx.fail("no orders in " .. shard .. ".csv", { retry = false }) end
        ctx.fs.write("parts/" .. shard .. ".json", ctx.json.encode(sums))
        return { rows = n, total = total, part = "parts/" .. shard .. ".json" }
    end,
}

-- `needs = count` means all of them, and ctx.outputs has those of each by its name. Outputs are
-- text, as those of shell jobs are.
job "reduce" {
    needs = count,
    run = function(_, ctx)
        local sums, n, total = {}, 0, 0
        for _, found in pairs(ctx.outputs) do
            n, total = n + found.rows, total + found.total
            for country, cents in pairs(ctx.json.decode(ctx.fs.read(found.part))) do
                sums[country] = (sums[country] or 0) + cents
            end
        end
        ctx.fs.write("RESULT.json", ctx.json.encode({ orders = n, cents = total,
            countries = sums }, { pretty = true }) .. "\n")

        -- Who gets a letter is known only now. These jobs are stored in the moment in which this
        -- one has completed: if it fails, none of them is there; if it is repeated, none is twice.
        for _, country in ipairs(COUNTRIES) do
            if (sums[country] or 0) * #COUNTRIES > total then
                ctx.enqueue {
                    name = "letter-" .. country,
                    run = [[echo "Dear $COUNTRY, thank you for $CENTS cents." >"$FILE"]],
                    env = { COUNTRY = country, CENTS = sums[country],
                        FILE = "letters/" .. country .. ".txt" },
                }
            end
        end
        return { orders = n, cents = total }
    end,
}
