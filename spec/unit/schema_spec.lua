-- The one table of job keys: every row is complete and has a check that accepts its default.

local check = require "queuectl.jobs.check"
local schema = require "queuectl.schema"

describe("schema", function()
    for _, row in ipairs(schema.job_keys) do
        it("has a complete row for " .. row.name, function()
            assert.is_truthy(row.name:find("^[%l_]+$"))
            assert.is_string(row.type)
            assert.is_string(row.desc)
            assert.is_function(check[row.check])
            assert.equal(row, schema.job[row.name])
            if row.default ~= nil then assert.is_string(row.shown) end
        end)
    end

    it("has no name twice, among keys and suggestions", function()
        local seen = {}
        for _, row in ipairs(schema.job_keys) do
            for _, name in ipairs({ row.name, unpack(row.near or {}) }) do
                assert.is_nil(seen[name], name)
                seen[name] = true
            end
        end
    end)

    it("has defaults that its own checks give back", function()
        for _, row in ipairs(schema.job_keys) do
            local default = row.default
            if default ~= nil and row.check ~= "duration" then
                assert.same(default, check[row.check](default, row, {}), row.name)
            elseif default ~= nil then
                assert.equal(default, check.duration(row.shown, row), row.name)
            end
        end
    end)

    it("suggests keys, and the key that is meant by another tool's word", function()
        assert.equal(" (did you mean 'retries'?)", schema.hint("retires"))
        assert.equal(" (did you mean 'run'?)", schema.hint("command"))
        assert.equal(" (did you mean 'needs'?)", schema.hint("depend_on"))
        assert.equal(" (did you mean 'desc'?)", schema.hint("description"))
        assert.equal("", schema.hint("zebra"))
        for word, key in pairs { ["if"] = "when", strategy = "matrix", deps = "needs",
                ["timeout-minutes"] = "timeout", ["continue-on-error"] = "allow_failure",
                continueOn = "allow_failure", environment = "env", retryPolicy = "retries",
                ["working-directory"] = "cwd", workdir = "cwd" } do
            assert.equal((" (did you mean '%s'?)"):format(key), schema.hint(word), word)
        end
    end)

    it("says what there is instead of another tool's keys", function()
        for word, what in pairs { steps = "run = [[", uses = "in run", ["runs-on"] = "in run",
                name = 'job "name" {', phony = "whenever", secrets = 'secret "env:NAME"',
                cron = "queuectl run", handlerOn = 'on = "done"' } do
            local hint = schema.hint(word)
            assert(hint:find("^; ") and hint:find(what, 1, true), word .. hint)
            assert.is_nil(schema.job[word])
        end
    end)

    it("lists options of every backoff that exist", function()
        for kind, options in pairs(schema.backoff_kinds) do
            for _, name in ipairs(options) do
                assert.is_table(schema.backoff_options[name], kind)
            end
        end
    end)
end)
