-- Reading what an attempt printed: the first output_head and the last output_tail bytes are kept,
-- in chunks with their place in the whole.

local core = require "queuectl.core"

local output = {}

--- Calls fn(data, stream, at) for each kept stretch from byte `from` on, and gap(bytes) where bytes
-- were not kept. `total`: bytes printed in all, nil while the attempt runs. Returns the place to go
-- on from.
function output.each(store, job, token, opts)
    local at = opts.from or 0
    local tail_from = opts.total and math.max(opts.total - core.output_tail, core.output_head)
    while true do
        local chunk, message, code = store:output(job.seq, token, math.max(at, 0))
        if message then return nil, message, code end
        if not chunk then break end
        local data, offset = chunk.data, chunk.offset
        -- A stored chunk may begin before the promised tail: cut to the byte.
        if tail_from and offset >= core.output_head and offset < tail_from then
            data = data:sub(tail_from - offset + 1)
            offset = tail_from
        end
        if #data > 0 then
            if offset > at and opts.gap then opts.gap(offset - at) end
            opts.fn(data, chunk.stream, chunk.at)
        end
        at = chunk.offset + #chunk.data
    end
    if opts.total and opts.total > at and opts.gap then opts.gap(opts.total - at) end
    return at
end

--- The last `bytes` of both streams together.
function output.tail(store, job, attempt, bytes)
    local parts = {}
    local from = math.max(0, attempt.output_total - bytes)
    -- Chunks are at most 64 KiB: begin far enough in front to meet the one that holds `from`.
    output.each(store, job, attempt.token, {
        from = math.max(0, from - 65536), total = attempt.output_total,
        fn = function(data) parts[#parts + 1] = data end,
    })
    local text = table.concat(parts)
    return #text > bytes and text:sub(-bytes) or text
end

--- The last lines, at most n, for people.
function output.last_lines(store, job, n)
    local attempts = store:attempts(job.seq) or {}
    local last = attempts[#attempts]
    if not last then return {} end
    local text = output.tail(store, job, last, 4096)
    local lines = {}
    for line in text:gmatch("[^\r\n]+") do lines[#lines + 1] = line end
    while #lines > n do table.remove(lines, 1) end
    return lines
end

return output
