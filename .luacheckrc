-- Rules of luacheck; scripts/lint starts it.
std = "luajit"
max_line_length = 100

-- Jobs files: what queuectl gives them beside Lua.
stds.jobs = { read_globals = { "job", "param", "secret", "sh" }, globals = { "defaults" } }

files["spec"] = { std = "luajit+busted" }
files["scripts/examples"] = { std = "luajit+jobs" }
files["examples"] = { std = "luajit+jobs" }
