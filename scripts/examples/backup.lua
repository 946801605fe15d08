#!/usr/bin/env -S queuectl run
-- Backs up directories: an archive of each, packed, compared with the original, and listed with
-- its size and checksum in a manifest. Run it from anywhere, as often as you like:
--
--   scripts/run scripts/examples/backup.lua
--
-- It shows a matrix (one job per directory), jobs that need one instance of it, and values that
-- jobs hand to others. Nothing is written outside of the folder below.

-- What is saved. The paths are relative to `cwd` below, which is relative to this file.
local directories = { "core", "lua", "scripts", "spec" }

-- lib/scratch.lua: a folder to write into, and the job that makes it.
local folder, prepare = require "lib.scratch" "backup"

-- A file is read to be planned before anything runs, so this stands above the jobs' lines.
print("the backup goes to " .. folder)

-- What holds for every job of this file, unless the job itself says something else.
defaults { cwd = "../..", env = { FOLDER = folder }, timeout = "10m", retries = 1 }

-- One job per directory: pack[dir=core], pack[dir=lua] … A list is a program with its arguments;
-- text is for the shell, so that a `|`, a `$NAME` or a second line means something.
-- The archive gets its name when it is whole, so a backup that was cut off leaves none behind.
job "pack" {
    needs = prepare,
    matrix = { dir = directories },
    run = [[
        set -e
        tar --create --sort=name --file "$FOLDER/$MATRIX_DIR.part" "$MATRIX_DIR"
        gzip --no-name --force --suffix .gz "$FOLDER/$MATRIX_DIR.part"
        mv "$FOLDER/$MATRIX_DIR.part.gz" "$FOLDER/$MATRIX_DIR.tar.gz"
    ]],
}

-- A job promises values in `outputs` and writes them as lines KEY=VALUE. Those of a matrix would
-- be many values under one name, so these jobs are made by a loop.
local checked, rows = {}, {}
for _, dir in ipairs(directories) do
    local sum = job("checksum-" .. dir) {
        needs = ("pack[dir=%s]"):format(dir),
        env = { ARCHIVE = dir .. ".tar.gz" },
        run = [[
            set -e
            cd "$FOLDER"
            sum=$(sha256sum "$ARCHIVE")
            echo "sha256=${sum%% *}" >>"$QUEUECTL_OUTPUT"
            echo "bytes=$(stat --format %s "$ARCHIVE")" >>"$QUEUECTL_OUTPUT"
        ]],
        outputs = { "sha256", "bytes" },
    }

    -- Unpacked beside the archives and compared with what it was made of.
    checked[#checked + 1] = job("verify-" .. dir) {
        needs = sum,
        env = { NAME = dir },
        run = [[
            set -e
            copy=$(mktemp -d "$FOLDER/verify-XXXXXX")
            trap 'rm -rf "$copy"' EXIT
            tar --extract --gzip --file "$FOLDER/$NAME.tar.gz" --directory "$copy"
            diff --recursive --brief "$NAME" "$copy/$NAME"
        ]],
    }

    -- `sum.out.bytes` is not the number: it stands for it until the job below starts.
    for _, word in ipairs { dir .. ".tar.gz", sum.out.bytes, sum.out.sha256 } do
        rows[#rows + 1] = word
    end
end

-- The values arrive as arguments, three a directory; printf repeats its format for each three.
local manifest = job "manifest" {
    needs = checked,
    run = { "sh", "-c", [[printf '%-20s %10s  %s\n' "$@" >"$FOLDER/MANIFEST"]], "manifest",
        unpack(rows) },
}

-- Its output is kept with the job: queuectl list shows the job's id, queuectl logs ID the text.
job "report" { needs = manifest, run = [[cat "$FOLDER/MANIFEST" && echo "saved in $FOLDER"]] }
