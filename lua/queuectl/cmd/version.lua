local core = require "queuectl.core"

return {
    summary = "versions of the program and of what it is built from",
    examples = { { "queuectl version", "for a bug report" } },
    run = function(ctx)
        local v = core.version()
        if ctx.json then
            ctx:print(require("queuectl.json").encode(v) .. "\n")
            return true
        end
        local note = v.sqlite_wal_reset_bug
            and " (has the WAL-reset bug, which queuectl's way of checkpointing avoids)" or ""
        ctx:print(("queuectl %s (%s)\nSQLite %s%s\n%s\n"):format(v.queuectl, v.commit, v.sqlite,
            note, v.luajit))
        return true
    end,
}
