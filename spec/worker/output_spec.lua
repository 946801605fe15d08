-- What jobs print: kept to the byte, bounded, readable while it grows.

local t = require "support"
local Queue = require "worker.queue"

local HEAD, TAIL = 64 * 1024, 192 * 1024

-- The same bytes here and in a job: repeats of a line that counts.
local function counted(bytes)
    local parts, size, i = {}, 0, 0
    while size < bytes do
        i = i + 1
        parts[i] = ("%015d\n"):format(i)
        size = size + 16
    end
    return table.concat(parts):sub(1, bytes)
end

local function bytes_of(job)
    return job.history[#job.history].output_bytes
end

-- A job that prints the file of these bytes.
local function printed(bytes)
    local q = Queue.new()
    t.write_file(q:path("bytes"), bytes)
    return q, q:do_job({ "cat", "bytes" })
end

describe("output", function()
    local every_byte = {}
    for i = 0, 255 do every_byte[#every_byte + 1] = string.char(i) end

    for name, bytes in pairs {
        ["nothing"] = "",
        ["one newline"] = "\n",
        ["no newline at its end"] = "no newline",
        ["every byte"] = table.concat(every_byte):rep(5),
        ["NULs"] = ("\0"):rep(1000),
        ["invalid UTF-8"] = "a\255\254\192\128b\237\160\128c\244\144\128\128\n",
        ["a cut code point"] = "ok \226\130",
        ["carriage returns"] = "10%\r20%\r100%\r\nend\r\n",
        ["escapes"] = "\27[31mred\27[0m\7\b\n",
        ["words of the JSON"] = '"}],\\u0000\\"</script>\n',
        ["65,535 bytes"] = counted(65535),
        ["65,536 bytes"] = counted(65536),
        ["65,537 bytes"] = counted(65537),
        ["all that is kept"] = counted(HEAD + TAIL),
    } do
        it("of " .. name .. " comes back exactly", function()
            local q, job = printed(bytes)
            assert.is_true(q:logs(job.id) == bytes)
            assert.equal(#bytes, bytes_of(job))
            assert.equal(job.id, t.json(q:q("list", "--json").out)[1].id)
            -- What cuts or replaces bytes for JSON must leave it valid UTF-8.
            local checked = t.run({ "iconv", "-f", "UTF-8", "-t", "UTF-8" },
                                  { stdin = q:q("show", "--json", job.id).out })
            assert.equal(0, checked.code, checked.err)
        end)
    end

    for name, size in pairs {
        ["one byte more than is kept"] = HEAD + TAIL + 1,
        ["5 MB"] = 5000000,
    } do
        it("of " .. name .. " keeps head and tail exactly", function()
            local bytes = counted(size)
            local q, job = printed(bytes)
            assert.equal(size, bytes_of(job))
            local got = q:logs(job.id)
            assert.equal(HEAD + TAIL, #got)
            assert.is_true(got:sub(1, HEAD) == bytes:sub(1, HEAD), "head")
            assert.is_true(got:sub(-TAIL) == bytes:sub(-TAIL), "tail")
        end)
    end

    it("of both streams is kept apart, and in its order", function()
        local q = Queue.new()
        local id = q:enqueue(
            "for i in 1 2 3; do echo out $i; sleep 0.05; echo err $i >&2; sleep 0.05; done")
        q:work()
        assert.equal("out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n", q:logs(id))
        assert.equal("out 1\nout 2\nout 3\n", q:logs(id, "--stdout"))
        assert.equal("err 1\nerr 2\nerr 3\n", q:logs(id, "--stderr"))
    end)

    it("of a failed job ends in its error, with nothing that harms a terminal", function()
        local q = Queue.new()
        local job = q:do_job("printf 'a\\033[2Jb\\377c\\nlast\\n' >&2; exit 5", "--retries", "0")
        assert.equal("exit 5: a?[2Jb?c\nlast", job.last_error)
        job = q:do_job("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 5", "--retries", "0")
        assert.is_true(#job.last_error <= 1024 and #job.last_error > 500)
    end)

    it("is there while the job runs, also for a follower", function()
        local q = Queue.new()
        q:worker()
        local id = q:enqueue("echo one; " .. Queue.until_file("go") .. "; echo two")
        t.eventually(function() return q:logs(id) == "one\n" end)
        local follower = t.spawn { t.binary, "--store", q.store, "logs", "-f", id }
        t.eventually(function() return follower:out() == "one\n" end)
        assert.is_true(follower:running())
        t.write_file(q:path("go"), "")
        assert.equal(0, (follower:wait(10)))
        assert.equal("one\ntwo\n", follower:out())
    end)

    it("goes on to a job that closed its own descriptors", function()
        local q = Queue.new()
        local job = q:do_job("echo first; exec >&- 2>&-; sleep 0.2; touch ran")
        assert.equal("completed", job.state)
        assert.equal("first\n", q:logs(job.id))
        assert.is_true(t.exists(q:path("ran")))
    end)

    it("of a killed worker is kept as far as it was stored", function()
        local q = Queue.new()
        local worker = q:worker()
        local id = q:enqueue("echo try $QUEUECTL_TOKEN; [ $QUEUECTL_TOKEN = 2 ] || sleep 30")
        t.eventually(function() return q:logs(id) == "try 1\n" end)
        worker:kill("KILL")
        q:work()
        local job = q:job(id)
        assert.same({ "completed", 2 }, { job.state, #job.history })
        assert.equal("try 2\n", q:logs(id))
        assert.equal("worker_lost", job.history[1].cause)
    end)
end)
