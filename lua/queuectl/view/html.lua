-- Text for HTML: whatever jobs are called and print, it comes out as text and as valid UTF-8.

local text = require "queuectl.view.text"

local html = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
    ["'"] = "&#39;" }

-- Length of the UTF-8 character at `at`, nil where there is none (RFC 3629: no surrogates, no
-- overlong forms, nothing above U+10FFFF).
local function character(str, at)
    local a, b, c, d = str:byte(at, at + 3)
    local function follows(byte, low, high)
        return byte and byte >= (low or 0x80) and byte <= (high or 0xBF)
    end
    if a < 0x80 then return 1 end
    if a >= 0xC2 and a <= 0xDF then return follows(b) and 2 or nil end
    if a >= 0xE0 and a <= 0xEF then
        local low, high = a == 0xE0 and 0xA0 or nil, a == 0xED and 0x9F or nil
        return follows(b, low, high) and follows(c) and 3 or nil
    end
    if a >= 0xF0 and a <= 0xF4 then
        local low, high = a == 0xF0 and 0x90 or nil, a == 0xF4 and 0x8F or nil
        return follows(b, low, high) and follows(c) and follows(d) and 4 or nil
    end
end

--- The text with U+FFFD for each byte that is no UTF-8.
function html.valid_utf8(str)
    if not str:find("[\128-\255]") then return str end
    local out, at, from = {}, 1, 1
    while at <= #str do
        local length = character(str, at)
        if length then
            at = at + length
        else
            out[#out + 1] = str:sub(from, at - 1) .. "\239\191\189"
            at = at + 1
            from = at
        end
    end
    return table.concat(out) .. str:sub(from)
end

--- One line of text, for an element or an attribute in quotes.
function html.escape(str)
    str = html.valid_utf8(text.line(str))
    if not str:find("[&<>\"']") then return str end
    return (str:gsub("[&<>\"']", ENTITIES))
end

--- Text of several lines, for <pre>.
function html.pre(str)
    return (html.valid_utf8(text.harmless(str)):gsub("[&<>\"']", ENTITIES))
end

return html
