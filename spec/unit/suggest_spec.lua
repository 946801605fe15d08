-- "Did you mean": which names are near enough, and that the answer never depends on order.

local suggest = require "queuectl.suggest"

describe("suggest.distance", function()
    local cases = {
        { "run", "run", 0 }, { "rnu", "run", 1 }, { "biuld", "build", 1 }, { "jbo", "job", 1 },
        { "ru", "run", 1 }, { "runn", "run", 1 }, { "ran", "run", 1 }, { "", "abc", 3 },
        { "abc", "", 3 }, { "", "", 0 }, { "retires", "retries", 1 }, { "kitten", "sitting", 3 },
        { "ab", "ba", 1 }, { "abcd", "badc", 2 },
    }
    for _, case in ipairs(cases) do
        it(("of '%s' and '%s' is %d"):format(case[1], case[2], case[3]), function()
            assert.equal(case[3], suggest.distance(case[1], case[2], 5))
            assert.equal(case[3], suggest.distance(case[2], case[1], 5))
        end)
    end

    it("is limit + 1 beyond the limit, however far", function()
        assert.equal(2, suggest.distance("kitten", "sitting", 1))
        assert.equal(3, suggest.distance("aaaaaaaa", "bbbbbbbb", 2))
        assert.equal(1, suggest.distance("a", "b", 0))
    end)

    it("agrees with the whole matrix computed without a band", function()
        local function plain(a, b)
            local d = {}
            for i = 0, #a do d[i] = { [0] = i } end
            for j = 0, #b do d[0][j] = j end
            for i = 1, #a do
                for j = 1, #b do
                    local same = a:byte(i) == b:byte(j)
                    d[i][j] = math.min(d[i - 1][j] + 1, d[i][j - 1] + 1,
                        d[i - 1][j - 1] + (same and 0 or 1))
                    if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1)
                        and a:byte(i - 1) == b:byte(j) then
                        d[i][j] = math.min(d[i][j], d[i - 2][j - 2] + 1)
                    end
                end
            end
            return d[#a][#b]
        end
        math.randomseed(7)
        local function word()
            local letters = {}
            for i = 1, math.random(0, 9) do letters[i] = ("abc"):sub(math.random(3)):sub(1, 1) end
            return table.concat(letters)
        end
        for _ = 1, 3000 do
            local a, b, limit = word(), word(), math.random(0, 4)
            assert.equal(math.min(plain(a, b), limit + 1), suggest.distance(a, b, limit))
        end
    end)
end)

describe("suggest.hint", function()
    local keys = { "run", "needs", "retries", "timeout", "env", "cwd" }

    it("names the nearest", function()
        assert.equal(" (did you mean 'retries'?)", suggest.hint("retires", keys))
        assert.equal(" (did you mean 'run'?)", suggest.hint("rnu", keys))
        assert.equal(" (did you mean 'needs'?)", suggest.hint("need", keys))
        assert.equal(" (did you mean 'timeout'?)", suggest.hint("time_out", keys))
    end)

    it("does not mind letter case", function()
        assert.equal(" (did you mean 'timeout'?)", suggest.hint("TimeOut", keys))
        assert.equal("X", suggest.nearest("x", { "X" }))
    end)

    it("is empty when nothing is plausible", function()
        assert.equal("", suggest.hint("priority", keys))
        assert.equal("", suggest.hint("x", { "y" }))
        assert.equal("", suggest.hint("abc", { "ade" }))
        assert.equal("", suggest.hint("", keys))
        assert.equal("", suggest.hint("run", {}))
        assert.equal("", suggest.hint(("r"):rep(1000), keys))
    end)

    it("takes the first in byte order of equally near ones", function()
        assert.equal("cat", suggest.nearest("cbt", { "cut", "cat", "cot" }))
        assert.equal("cat", suggest.nearest("cbt", { "cot", "cat", "cut" }))
    end)
end)
