#!/usr/bin/env -S queuectl run
-- Ten thousand small jobs, reduced to one number that is checked against a direct computation:
--
--   scripts/run scripts/examples/fanout.lua
--
-- A million numbers are cut into files of a hundred. Each file is added up by a job of its own,
-- each hundred of these sums by another, and those by the last one.

local FILES, GROUP = 10000, 100
local NUMBERS = 100 -- in a file
local FIRST = 1000000

-- lib/scratch.lua: a folder to write into, and the job that makes it, without what is left there.
local folder, prepare = require "lib.scratch" ("fanout", { "data", "RESULT" })

-- FOLDER is an environment variable of every job below.
defaults { env = { FOLDER = folder } }

local data = job "data" {
    needs = prepare,
    run = {
        "sh", "-euc", [[
            mkdir "$FOLDER/data"
            seq "$1" "$2" | split -d -a 4 -l "$3" - "$FOLDER/data/"
        ]], "data", FIRST, FIRST + FILES * NUMBERS - 1, NUMBERS,
    },
    retries = 0,
}

-- What a job of each kind runs, with its arguments in $1, $2 … A job hands a value to others by
-- writing it into the file $QUEUECTL_OUTPUT.
local ADD_FILE = [[
    sum=0
    while read -r number; do sum=$((sum + number)); done <"$FOLDER/data/$1"
    echo "sum=$sum" >>"$QUEUECTL_OUTPUT"
]]
local ADD_SUMS = [[
    sum=0
    for number in "$@"; do sum=$((sum + number)); done
    echo "sum=$sum" >>"$QUEUECTL_OUTPUT"
]]

-- The job NAME adds the sums of `parts`. Their values are not known yet: `part.out.sum` stands for
-- one, and makes NAME wait for its job.
local function add(name, parts)
    local argv = { "sh", "-euc", ADD_SUMS, name }
    for _, part in ipairs(parts) do argv[#argv + 1] = part.out.sum end
    return job(name) { run = argv, outputs = { "sum" } }
end

local groups, parts = {}, {}
for i = 0, FILES - 1 do
    local name = ("%04d"):format(i)
    parts[#parts + 1] = job("file-" .. name) {
        needs = data,
        run = { "sh", "-euc", ADD_FILE, "file", name },
        outputs = { "sum" },
    }
    if #parts == GROUP then
        groups[#groups + 1] = add("group-" .. #groups, parts)
        parts = {}
    end
end
local total = add("total", groups)

-- A function runs in a Lua process of its own. What it returns are its outputs; one that returns
-- ctx.fail has failed, here without further tries.
job "check" {
    env = { TOTAL = total.out.sum },
    run = function(_, ctx)
        local sum = 0
        for i = 0, FILES - 1 do
            for number in io.lines(("%s/data/%04d"):format(folder, i)) do sum = sum + number end
        end
        local direct = ("%.0f"):format(sum)
        if direct ~= os.getenv "TOTAL" then
            return ctx.fail(("the jobs say %s, but it is %s"):format(os.getenv "TOTAL", direct),
                { retry = false })
        end
        ctx.fs.write(folder .. "/RESULT", direct .. "\n")
        print(("the sum of %s/data is %s"):format(folder, direct))
        return { sum = direct }
    end,
}
