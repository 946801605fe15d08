-- `queuectl report` by itself: what it writes, and what it refuses.

local t = require "support"

local function report(path, ...)
    return t.run({ t.binary, "report", ... }, { env = { QUEUECTL_REPORT = path } })
end

describe("queuectl report", function()
    it("adds a line for each NAME=VALUE", function()
        local path = t.tmpdir() .. "/report"
        for _, words in ipairs { { "a=1" }, { "b=x y", "c_1==" }, { "a=" } } do
            local got = report(path, unpack(words))
            assert.same({ 0, "", "" }, { got.code, got.out, got.err })
        end
        assert.equal("a=1\nb=x y\nc_1==\na=\n", t.read_file(path))
    end)

    local BAD = {
        { { "Status=1" }, 'bad name "Status": small letters, digits and _' },
        { { "=1" }, 'bad name "": small letters, digits and _' },
        { { "a=1", "b" }, "'b' is not NAME=VALUE" },
        { { "a=1", "b=x\ny=1" }, "'b' contains a control character" },
        { { "a=" .. ("x"):rep(16384) }, "16387 bytes of lines; the limit is 16384" },
    }
    for _, case in ipairs(BAD) do
        it("refuses " .. table.concat(case[1], " "):sub(1, 30) .. " and writes nothing", function()
            local path = t.tmpdir() .. "/report"
            local got = report(path, unpack(case[1]))
            assert.same({ 2, "", "queuectl: " .. case[2] .. "\n" },
                        { got.code, got.out, got.err })
            assert.is_false(t.exists(path))
        end)
    end

    it("says that it is not inside of a job", function()
        for _, path in ipairs { false, "" } do
            local got = report(path, "a=1")
            assert.same({ 2, "queuectl: there is no job to report about ($QUEUECTL_REPORT is not "
                .. "set); use this in what a job runs\n" }, { got.code, got.err })
        end
    end)

    it("says why the file cannot be written", function()
        local got = report("/nowhere/report", "a=1")
        assert.same({ 1, "queuectl: /nowhere/report: No such file or directory\n" },
                    { got.code, got.err })
    end)

    it("needs something to say", function()
        local got = report("/nowhere/report")
        assert.equal(2, got.code)
        assert.matches("^queuectl: [^\n]+\n$", got.err)
    end)
end)
