#!/usr/bin/env -S queuectl run
-- Releases a small program: builds it, tests it, packs it and, when told where, publishes it.
--
--   scripts/run scripts/examples/release.lua                        all but publishing
--   scripts/run scripts/examples/release.lua --help                 its parameters and jobs
--   RELEASE_TOKEN=hush scripts/run scripts/examples/release.lua -p target=staging -p version=1.2
--
-- It shows parameters, values handed from job to job, a matrix, artifacts, a secret, a job that is
-- asked whether it shall run, and one that tells the end of the story whatever it was.

-- What may differ from run to run: `-p NAME=VALUE` on the command line. A value that is not of the
-- type or not among the choices is an error before anything runs.
local version = param "version" { default = "0.1.0", desc = "what the release is called" }
local target = param "target" {
    choices = { "none", "staging", "prod" }, default = "none", desc = "where it is published",
}

local folder, prepare = require "lib.scratch" ("release", { "src", "out", "dist" })

-- Each job runs in the folder that `prepare` makes. What fails here would fail again: no retries.
defaults { cwd = folder, retries = 0, timeout = "5m" }

-- A real pipeline would check out a repository. Functions are Lua, each in its own process; `ctx`
-- has what such a job may do. The folder is there: that is what `needs` has waited for.
local source = job "source" {
    needs = prepare,
    run = function(_, ctx)
        ctx.fs.mkdir "src"
        ctx.fs.write("src/greet.in", [[
#!/bin/sh
case ${GREET_LANG:-en} in
    en) echo "Hello, ${1:-world}! (@VERSION@)" ;;
    de) echo "Hallo, ${1:-Welt}! (@VERSION@)" ;;
esac
]])
    end,
}

-- A parameter is text somebody typed: `sh.quote` makes one word of it for the shell, whatever is in
-- it. What the job promises in `outputs` it writes as lines KEY=VALUE.
local build = job "build" {
    needs = source,
    run = "version=" .. sh.quote(version) .. [[

        set -eu
        case $version in *[!0-9.]*|'') echo "bad version: $version" >&2; exit 1 ;; esac
        mkdir -p out
        sed "s/@VERSION@/$version/" src/greet.in >out/greet
        chmod +x out/greet
        echo "name=greet-$version" >>"$QUEUECTL_OUTPUT"
    ]],
    outputs = { "name" },
}

-- Three jobs: en in two shells, de in one. Each finds its values in MATRIX_LANG and MATRIX_SHELL.
-- When one of them fails for good, nothing else of the run is started.
local test = job "test" {
    needs = build,
    matrix = {
        lang = { "en", "de" },
        shell = { "dash", "bash" },
        exclude = { { lang = "de", shell = "bash" } },
    },
    run = [[
        said=$(GREET_LANG=$MATRIX_LANG "$MATRIX_SHELL" out/greet Ada)
        echo "$said"
        case $said in "Hello, Ada! ("*|"Hallo, Ada! ("*) ;; *) exit 1 ;; esac
    ]],
    fail_fast = true,
}

-- `build.out.name` stands for a value that is known only when `build` has ended, so it cannot be
-- joined to a text here; an argument or a variable of `env` it may be. In a shell they are safe.
-- `artifacts` are files the job must leave behind, else it has failed.
local package = job "package" {
    needs = test, -- a matrix as a whole: all three
    env = { NAME = build.out.name },
    run = [[
        set -eu
        mkdir -p "dist/$NAME"
        cp out/greet "dist/$NAME/"
        tar -czf "dist/$NAME.tar.gz" -C dist "$NAME"
        sum=$(sha256sum "dist/$NAME.tar.gz")
        echo "sha256=${sum%% *}" >>"$QUEUECTL_OUTPUT"
    ]],
    outputs = { "sha256" },
    artifacts = { "dist/*.tar.gz" },
}

-- A list is a program with its arguments; here a shell that gets three.
-- The token is read from the environment when the job starts. It is stored nowhere, and where the
-- job prints it there stands ***. Arguments are visible to everybody, so it goes by `env`; without
-- a target nobody needs it, and `false` leaves it out.
local publish = job "publish" {
    needs = package,
    -- Asked when the jobs before have ended. false skips this one; the run is well all the same.
    when = function(ctx)
        local there = ("published/%s/%s"):format(ctx.params.target, ctx.outputs.build.name)
        return ctx.params.target ~= "none" and not ctx.fs.exists(there)
    end,
    env = { TOKEN = target ~= "none" and secret "env:RELEASE_TOKEN" },
    run = {
        "sh", "-euc", [[
            echo "publishing $2 to $1 as the owner of $TOKEN"
            mkdir -p "published/$1"
            echo "$3" >"published/$1/$2.part"
            mv "published/$1/$2.part" "published/$1/$2"
        ]], "publish", target, build.out.name, package.out.sha256,
    },
    retries = 4, -- networks fail
    backoff = { "exponential", base = "1s", cap = "30s" },
}

-- on = "done": whether the others went well or not. ctx.needs tells how each has ended.
job "report" {
    needs = { { build, test, package, publish, on = "done" } },
    run = function(_, ctx)
        local ended, bad = {}, 0
        for name, need in pairs(ctx.needs) do
            ended[name] = need.state
            if need.state == "dead" then
                bad = bad + 1
                ctx.log("error", name .. ": " .. (need.error or "?"))
            end
        end
        ctx.fs.write("REPORT.json", ctx.json.encode({ target = ctx.params.target,
            version = ctx.params.version, jobs = ended }, { pretty = true }) .. "\n")
        print(("%s: %d of its jobs went wrong"):format(ctx.params.version, bad))
    end,
}
