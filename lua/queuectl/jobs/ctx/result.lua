-- What ctx.exec and ctx.sh return.

local bind = require "queuectl.jobs.ctx.bind"
local list = require "queuectl.jobs.list"
local text = require "queuectl.jobs.text"
local time = require "queuectl.time"

local result = {}

--- Bytes kept of what a program writes to each stream, unless max_output says otherwise.
result.MAX_OUTPUT = 8 * 1024 * 1024

local MAX_TAIL = 1024

local OPTIONAL = { "exit_code", "signal", "timed_out" }

-- The end of what a program wrote, as much as belongs into an error.
local function tail(str)
    local trimmed = (str or ""):sub(-2 * MAX_TAIL):gsub("%s+$", "")
    if #trimmed <= MAX_TAIL then return trimmed end
    return "..." .. trimmed:sub(-MAX_TAIL):gsub("^[\128-\191]+", "")
end

local function how_it_ended(fields, opts)
    if fields.timed_out then
        return opts.timeout_ms and "timed out after " .. time.format_duration(opts.timeout_ms)
            or "timed out"
    end
    if fields.signal and fields.signal ~= 0 then return "killed by signal " .. fields.signal end
    if not list.contains(opts.ok_codes or { 0 }, fields.exit_code) then
        return "exit code " .. tostring(fields.exit_code)
    end
end

--- Why the program did not succeed, in words, or nil.
function result.failure(fields, opts)
    local how = how_it_ended(fields, opts)
    if not how then return nil end
    local stderr = tail(fields.stderr)
    return stderr == "" and how or how .. ": " .. stderr
end

-- Streams of which not everything was kept: name -> what to say to who reads them.
local function cut_streams(fields, keep, shown)
    local cut = {}
    for stream, printed in pairs(fields.printed or {}) do
        if printed > keep then
            cut[stream] = ("%s printed %d bytes on %s, of which %d are kept; "):format(
                shown, printed, stream, keep) .. "give max_output = bytes, or stream"
        end
    end
    return cut
end

--- The result as the job sees it. Who named no limit gets an error for reading what was cut.
function result.new(state, fields, opts, shown)
    local cut = cut_streams(fields, opts.max_output or result.MAX_OUTPUT, shown)
    fields.ok = how_it_ended(fields, opts) == nil
    fields.truncated = next(cut) ~= nil
    fields.printed = nil
    local unknown
    if not opts.max_output and fields.truncated then
        for stream in pairs(cut) do fields[stream] = nil end
        unknown = function(key)
            return cut[key] or "a result has no field " .. text.name(tostring(key))
        end
    end
    bind.strict(state, "a result", fields, OPTIONAL, unknown)
    state.results[fields] = true
    return fields
end

return result
