#!/usr/bin/env -S queuectl run
-- The Makefile beside it, as jobs.
--
--   scripts/run scripts/examples/make/jobs.lua                     make
--   scripts/run scripts/examples/make/jobs.lua --only test         make test
--   scripts/run scripts/examples/make/jobs.lua -p prefix=/opt      make install PREFIX=/opt
--   scripts/run scripts/examples/make/jobs.lua -j 4 -p cflags=-O3  make -j4 CFLAGS=-O3
--   scripts/run scripts/examples/make/clean.lua                    make clean
--
-- What is different: all jobs of a file run, unless --only says which. So what make does only when
-- asked is here behind a parameter (install) or in a file of its own (clean). A job has no files
-- that would make it unnecessary: it looks for itself, as `compile` does.

local cc = param "cc" { default = "cc" }
local cflags = param "cflags" { type = "list", default = { "-O2", "-Wall", "-Wextra" } }
local prefix = param "prefix" { type = "path", desc = "install there" }

defaults { retries = 0 } -- what does not compile now will not compile in two seconds

local config = job "config" {
    run = "mkdir -p out && " .. sh.quote(cc) .. " --version | head -n 1 >out/config",
}

-- out/%.o: %.c words.h. A pattern is a loop, and a target's name is the job's, if you like.
-- In a list nothing is split or expanded: each entry arrives as it is.
local objects = {}
for _, name in ipairs { "main", "words" } do
    local source, object = name .. ".c", "out/" .. name .. ".o"
    objects[#objects + 1] = job(object) {
        needs = config,
        run = function(_, ctx)
            local function changed(path)
                local there = ctx.fs.stat(object)
                return not there or ctx.fs.stat(path).mtime >= there.mtime
            end
            if not changed(source) and not changed "words.h" then return end
            local argv = { cc, unpack(cflags) }
            for _, word in ipairs { "-c", "-o", object, source } do argv[#argv + 1] = word end
            ctx.exec(argv, { check = true, stream = true })
        end,
    }
end

-- The program: needs all objects.
local words = job "out/words" {
    needs = objects,
    run = { cc, "-o", "out/words", "out/main.o", "out/words.o" },
}

-- Text is for the shell, as a recipe is; but $ is $, and all lines are one script.
local test = job "test" {
    needs = words,
    run = [[test "$(out/words 'to be' 'or not to be')" = 6]],
}

-- [=[ and ]=] are quotes for a text that has ]] in it.
job "lint" { run = [=[! grep -n '[[:blank:]]$' *.c *.h]=] }

job "dist" {
    needs = words,
    run = "tar -czf out/words.tar.gz main.c words.c words.h Makefile",
    artifacts = { "out/words.tar.gz" },
}

if prefix then
    job "install" {
        needs = { words, test },
        env = { PREFIX = prefix },
        run = [[mkdir -p "$PREFIX/bin" && cp out/words "$PREFIX/bin/"]],
    }
end
