-- `run` starts a job when what it needs has ended, and not before.

local project = require "run.project"

-- Fails unless every line stands behind all of those that `before(line)` returns.
local function assert_order(lines, before)
    local at = {}
    for i, line in ipairs(lines) do
        assert.is_nil(at[line], line .. " ran twice")
        at[line] = i
    end
    for i, line in ipairs(lines) do
        for _, earlier in ipairs(before(line)) do
            assert(at[earlier] and at[earlier] < i, line .. " ran before " .. earlier)
        end
    end
end

describe("the order of a run", function()
    it("follows a chain of a thousand jobs", function()
        local p = project.new [[
            local last
            for i = 1, 1000 do
                last = job("c" .. i) { needs = last, run = { "sh", "-c", "echo $0 >>$WITNESS", i } }
            end
        ]]
        local r = p:run(0, "-j", "8")
        assert.matches("\n1,000 completed in ", r.out)
        local lines = p:witnessed()
        assert.equal(1000, #lines)
        for i, line in ipairs(lines) do assert.equal(tostring(i), line) end
    end)

    it("joins what a diamond has split", function()
        local p = project.new [[
            local function say(name, needs)
                return job(name) { needs = needs, run = 'echo $QUEUECTL_JOB_NAME >>"$WITNESS"' }
            end
            say("bottom", { "left", "right" })
            say("left", "top")
            say("right", "top")
            say "top"
        ]]
        -- `say "top"` leaves out needs: nil is the same as none.
        p:run(0, "-j", "4")
        local lines = p:witnessed()
        assert.equal("top", lines[1])
        assert.equal("bottom", lines[4])
    end)

    it("keeps a hundred jobs waiting for each of a hundred others", function()
        local p = project.new [[
            local first = {}
            for i = 1, 100 do
                first[i] = job("a" .. i) { run = { "sh", "-c", "echo a >>$WITNESS" } }
            end
            for i = 1, 100 do
                job("b" .. i) { needs = first, run = { "sh", "-c", "echo b >>$WITNESS" } }
            end
        ]]
        p:run(0, "-j", "16")
        assert.equal(("a"):rep(100) .. ("b"):rep(100), table.concat(p:witnessed()))
    end)

    it("is right for any graph", function()
        local t = require "support"
        local r = t.rng()
        local text, needs = {}, {}
        for i = 1, 150 do
            local list, quoted = {}, {}
            for _ = 1, r(0, 4) do
                if i > 1 then list[#list + 1] = "j" .. r(1, i - 1) end
            end
            for k, name in ipairs(list) do quoted[k] = ("%q"):format(name) end
            needs["j" .. i] = list
            text[i] = ("job 'j%d' { needs = { %s }, run = 'echo j%d >>$WITNESS' }")
                :format(i, table.concat(quoted, ", "), i)
        end
        for i = #text, 2, -1 do -- the order of the file does not matter
            local k = r(1, i)
            text[i], text[k] = text[k], text[i]
        end
        local p = project.new(table.concat(text, "\n"))
        p:run(0, "-j", "8")
        local lines = p:witnessed()
        assert.equal(150, #lines)
        assert_order(lines, function(name) return needs[name] end)
    end)

    it("takes the larger priority first, then the order of the file", function()
        local p = project.new [[
            for i, priority in ipairs { 0, 5, -5, 5, 0 } do
                job("j" .. i) { run = "echo $QUEUECTL_JOB_NAME >>$WITNESS", priority = priority }
            end
        ]]
        p:run(0, "-j", "1")
        assert.same({ "j2", "j4", "j1", "j5", "j3" }, p:witnessed())
    end)

    it("never has more jobs at work than slots", function()
        local p = project.new [[
            job "n" {
                matrix = { i = { 1, 2, 3, 4, 5, 6, 7, 8, 9 } },
                run = "echo + >>$WITNESS; sleep 0.05; echo - >>$WITNESS",
            }
        ]]
        p:run(0, "-j", "3")
        local now, most = 0, 0
        for _, line in ipairs(p:witnessed()) do
            now = now + (line == "+" and 1 or -1)
            most = math.max(most, now)
        end
        assert.equal(3, most)
    end)
end)
