-- Text for HTML: whatever jobs are called and print, it comes out as text and as valid UTF-8.

local jobs_text = require "queuectl.jobs.text"
local text = require "queuectl.view.text"

local html = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
    ["'"] = "&#39;" }

--- One line of text, for an element or an attribute in quotes.
function html.escape(str)
    str = jobs_text.repair(text.line(str))
    if not str:find("[&<>\"']") then return str end
    return (str:gsub("[&<>\"']", ENTITIES))
end

--- Text of several lines, for <pre>.
function html.pre(str)
    return (jobs_text.repair(text.harmless(str)):gsub("[&<>\"']", ENTITIES))
end

return html
