return {
    summary = "create the store; safe to repeat",
    examples = { { "queuectl init", "create the default store and say where it is" } },
    run = function(ctx)
        local store, message, code = ctx:store()
        if not store then return nil, message, code end
        local path = ctx:store_path()
        if ctx.json then
            ctx:print(require("queuectl.json").encode { store = path } .. "\n")
        else
            ctx:print(ctx.tty and ("The store is %s\n"):format(path) or path .. "\n")
        end
        return true
    end,
}
