-- Text on a terminal: widths, cutting, tables, and making harmless what a job printed.

local text = {}

-- Display columns of UTF-8 text, good enough for tables: one per character, two for the wide
-- ranges of East Asian scripts and emoji, none for combining marks.
local function char_width(char)
    local a, b, c, d = char:byte(1, 4)
    if not b then return 1 end
    local code
    if not c then
        code = (a % 32) * 64 + b % 64
    elseif not d then
        code = ((a % 16) * 64 + b % 64) * 64 + c % 64
    else
        code = (((a % 8) * 64 + b % 64) * 64 + c % 64) * 64 + d % 64
    end
    if code >= 0x300 and code <= 0x36F then return 0 end
    local wide = code >= 0x1100 and code <= 0x115F or code >= 0x2E80 and code <= 0xA4CF
        or code >= 0xAC00 and code <= 0xD7A3 or code >= 0xF900 and code <= 0xFAFF
        or code >= 0xFE30 and code <= 0xFE6F or code >= 0xFF00 and code <= 0xFF60
        or code >= 0x1F300 and code <= 0x1FAFF
    return wide and 2 or 1
end

local CHAR = "[%z\1-\127\194-\244][\128-\191]*"

function text.width(str)
    local n = 0
    for char in str:gmatch(CHAR) do n = n + char_width(char) end
    return n
end

--- At most `max` columns; what was cut is marked by "…".
function text.cut(str, max)
    if #str <= max or text.width(str) <= max then return str end
    local out, used = {}, 0
    for char in str:gmatch(CHAR) do
        local width = char_width(char)
        if used + width > max - 1 then break end
        out[#out + 1], used = char, used + width
    end
    return table.concat(out) .. "…"
end

--- The text in pieces of at most `max` columns.
function text.wrap(str, max)
    local pieces, from, used = {}, 1, 0
    for at, char in str:gmatch("()(" .. CHAR .. ")") do
        local width = char_width(char)
        if used + width > max then
            pieces[#pieces + 1] = str:sub(from, at - 1)
            from, used = at, 0
        end
        used = used + width
    end
    pieces[#pieces + 1] = str:sub(from)
    return pieces
end

function text.pad(str, width)
    return str .. (" "):rep(width - text.width(str))
end

--- One line: control characters become visible, so nothing can move the cursor.
function text.line(str)
    local shown = str:gsub("[%z\1-\31\127]", function(char)
        return char == "\n" and "\\n" or char == "\t" and " " or ("\\x%02x"):format(char:byte())
    end)
    return (shown:gsub("\194[\128-\159]", "?"))
end

--- The value of a parameter as it is given: a list with commas.
function text.value(value)
    if type(value) ~= "table" then return tostring(value) end
    local parts = {}
    for i, item in ipairs(value) do parts[i] = tostring(item) end
    return table.concat(parts, ",")
end

--- What a job printed, for a terminal: newlines and tabs stay, other control characters do not.
function text.harmless(str)
    str = str:gsub("\r\n", "\n")
    str = str:gsub("[%z\1-\8\11-\31\127]", function(char)
        return ("\\x%02x"):format(char:byte())
    end)
    return (str:gsub("\194[\128-\159]", "?"))
end

--- Rows of texts under headings (nil: none), columns as wide as needed, the last one cut at the
-- terminal's edge. Returns the text with a newline at the end.
function text.table(headings, rows, width)
    local widths = {}
    for i, heading in ipairs(headings or {}) do widths[i] = text.width(heading) end
    for _, row in ipairs(rows) do
        for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, text.width(cell)) end
    end
    local function render(row)
        local cells = {}
        for i, cell in ipairs(row) do
            cells[i] = i < #row and text.pad(cell, widths[i]) or cell
        end
        return text.cut(table.concat(cells, "  "), width)
    end
    local lines = { headings and render(headings) }
    for _, row in ipairs(rows) do lines[#lines + 1] = render(row) end
    return table.concat(lines, "\n") .. "\n"
end

return text
