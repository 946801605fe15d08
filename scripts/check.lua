-- Shared by the check scripts: the project's files, their code without comments and strings,
-- and the reports (file:line: what is wrong).

local check = { root = arg[0]:match("^(.*)/scripts/[^/]+$") or "." }
local found = 0

-- Files below directories (which need not exist), relative to the root, sorted.
-- `dir` may name several: "lua plugins".
function check.files(dir, pattern)
    local command = "cd '%s' && find %s -type f 2>/dev/null | LC_ALL=C sort"
    local pipe, files = assert(io.popen(command:format(check.root, dir))), {}
    for path in pipe:lines() do
        if path:find(pattern) then files[#files + 1] = path end
    end
    pipe:close()
    return files
end

function check.read(path)
    local file = assert(io.open(check.root .. "/" .. path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

function check.lines(text)
    local lines = {}
    for line in (text:gsub("\n$", "") .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
    return lines
end

-- Spaces for everything but line ends, so that places in the text stay the same.
local function blank(text)
    return (text:gsub("[^\n]", " "))
end

-- patterns: { opening pattern, function(text, from, to) -> last position to blank }
local function strip(text, rules)
    local out, at = {}, 1
    while at <= #text do
        local first, first_end, closing
        for _, rule in ipairs(rules) do
            local s, e = text:find(rule[1], at)
            if s and (not first or s < first) then first, first_end, closing = s, e, rule[2] end
        end
        if not first then break end
        local last = closing(text, first, first_end) or #text
        out[#out + 1] = text:sub(at, first - 1)
        out[#out + 1] = blank(text:sub(first, last))
        at = last + 1
    end
    out[#out + 1] = text:sub(at)
    return table.concat(out)
end

local function to_line_end(text, from)
    return (text:find("\n", from, true) or #text + 1) - 1
end

local function to_quote(text, from)
    local quote, at = text:sub(from, from), from + 1
    while at <= #text do
        local c = text:sub(at, at)
        if c == quote then return at end
        at = at + (c == "\\" and 2 or 1)
    end
end

local function to_directive_end(text, from)
    local last = to_line_end(text, from)
    while text:sub(last, last) == "\\" and last < #text do last = to_line_end(text, last + 2) end
    return last
end

local function to_block_end(text, from)
    local _, last = text:find("*/", from + 2, true)
    return last
end

local function to_long_end(text, from)
    local level = text:match("^%-?%-?%[(=*)%[", from)
    local _, last = text:find("]" .. level .. "]", from, true)
    return last
end

local C_COMMENTS = { { "/%*", to_block_end }, { "//", to_line_end }, { '"', to_quote },
                     { "'", to_quote } }
local LUA = { { "%-%-%[=*%[", to_long_end }, { "%-%-", to_line_end }, { "%[=*%[", to_long_end },
              { '"', to_quote }, { "'", to_quote } }

-- C without comments, strings and preprocessor lines; Lua without comments and strings.
function check.c_code(text)
    text = strip(text, C_COMMENTS)
    return (strip("\n" .. text, { { "\n[ \t]*#", function(t, from)
        return to_directive_end(t, from + 1)
    end } }):sub(2))
end

function check.lua_code(text)
    return strip(text, LUA)
end

function check.report(path, line, ...)
    found = found + 1
    print(("%s:%d: %s"):format(path, line, string.format(...)))
end

function check.finish()
    os.exit(found == 0 and 0 or 1)
end

return check
