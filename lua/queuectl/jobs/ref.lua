-- References to jobs, and tokens: outputs of jobs whose value is known only when they have run.
-- `job "build" {…}` returns a reference; `build.out.version` is a token. A token may stand
-- where a value is replaced at start (env, argv); anything that needs its text now raises.

local suggest = require "queuectl.suggest"
local text = require "queuectl.jobs.text"

local ref = {}

ref.SPLICE = "a job output cannot be spliced into a string; "
    .. "pass it through env or as an entry of a run list"

ref.NAME_PATTERN = "^[%a_][%w_]*$"

-- Private keys: a reference has no visible fields of its own.
local DEF, OUT = {}, {}

-- token -> { def =, key = }. Userdata, not tables: `#`, pairs and table.concat refuse them.
local tokens = setmetatable({}, { __mode = "k" })

local token_proxy = newproxy(true)

local function refuse_splice(a, b)
    local token = tokens[a] or tokens[b]
    token.def.owner.raise(ref.SPLICE)
end

local function refuse_index(token, key)
    tokens[token].def.owner.raise(("a job output has no field %s: its value is known only when "
        .. "the job has run"):format(text.name(tostring(key))))
end

--- Makes values of the metatable `meta` refuse whatever needs their text: `refuse(a, b)`, called
-- with the operands, raises.
function ref.refuse_use(meta, name, refuse)
    local events = {
        "concat", "tostring", "len", "unm", "add", "sub", "mul", "div", "mod", "pow", "lt", "le",
        "call", "index", "newindex",
    }
    for _, event in ipairs(events) do meta["__" .. event] = refuse end
    meta.__name = name
end

ref.refuse_use(getmetatable(token_proxy), "a job output", refuse_splice)
getmetatable(token_proxy).__index = refuse_index
getmetatable(token_proxy).__newindex = refuse_index

local function new_token(def, key)
    local token = newproxy(token_proxy)
    tokens[token] = { def = def, key = key }
    return token
end

local out_meta = { __name = "the outputs of a job" }

function out_meta.__index(out, key)
    local def = rawget(out, DEF)
    def.owner.check_output(def, key)
    local token = new_token(def, key)
    rawset(out, key, token)
    return token
end

function out_meta.__newindex(out)
    local def = rawget(out, DEF)
    def.owner.raise(("job %s: its outputs are set by the job when it runs"):format(
        text.name(def.name)))
end

local ref_meta = { __name = "a job" }

local function get_out(reference, def)
    local out = rawget(reference, OUT)
    if not out then
        out = setmetatable({ [DEF] = def }, out_meta)
        rawset(reference, OUT, out)
    end
    return out
end

function ref_meta.__index(reference, key)
    local def = rawget(reference, DEF)
    if key == "name" then return def.name end
    if key == "out" then return get_out(reference, def) end
    local shown = tostring(key)
    def.owner.raise(("job %s: a job has no field %s%s; it has 'name' and 'out'"):format(
        text.name(def.name), text.name(shown), suggest.hint(shown, { "name", "out" })))
end

function ref_meta.__newindex(reference, key)
    local def = rawget(reference, DEF)
    def.owner.raise(("job %s: cannot set %s any more; write it in the job's table"):format(
        text.name(def.name), text.name(tostring(key))))
end

function ref_meta.__tostring(reference)
    return rawget(reference, DEF).name
end

function ref_meta.__concat(a, b)
    local def = rawget(type(a) == "table" and rawget(a, DEF) and a or b, DEF)
    def.owner.raise(("job %s: a job is not text; write .name for its name"):format(
        text.name(def.name)))
end

--- A reference to `def`, a table with `name` and `owner`. The owner has two functions:
-- raise(message), which must raise, and check_output(def, key), which may.
function ref.new(def)
    return setmetatable({ [DEF] = def }, ref_meta)
end

--- The def a reference stands for, or nil for any other value.
function ref.def(value)
    return type(value) == "table" and getmetatable(value) == ref_meta and rawget(value, DEF) or nil
end

--- { def =, key = } for a token, or nil for any other value.
function ref.token(value)
    return type(value) == "userdata" and tokens[value] or nil
end

return ref
