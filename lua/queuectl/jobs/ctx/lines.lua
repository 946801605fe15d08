-- What a program prints, handed on while it runs, in whole lines.

local lines = {}

--- A line longer than this comes in pieces.
lines.MAX = 64 * 1024

local FD = { stdout = 1, stderr = 2 }

local function each_line(fn, stream, block)
    if block:sub(-1) ~= "\n" then block = block .. "\n" end
    for line in block:gmatch("([^\n]*)\n") do fn(line, stream) end
end

-- emit(stream, block): a block of whole lines, or a line without its end.
local function emitter(host, to)
    if to == true then
        return function(stream, block) host.write(FD[stream], block) end
    end
    return function(stream, block) each_line(to, stream, block) end
end

local function split(bytes)
    local last = bytes:match("^.*()\n")
    if last then return bytes:sub(1, last), bytes:sub(last + 1) end
    if #bytes >= lines.MAX then return bytes, "" end
    return nil, bytes
end

--- Reads `program` to its end. `to`: true, the job's own output; or a function(line, stream).
function lines.pump(host, program, to)
    local emit, rest = emitter(host, to), { stdout = "", stderr = "" }
    while true do
        local stream, bytes = program:next()
        if not stream then break end
        local block
        block, rest[stream] = split(rest[stream] .. bytes)
        if block then emit(stream, block) end
    end
    for _, stream in ipairs { "stdout", "stderr" } do
        if rest[stream] ~= "" then emit(stream, rest[stream]) end
    end
end

return lines
