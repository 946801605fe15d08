-- The report of a run as one HTML page: no script, nothing from outside. States are a word, a shape
-- and a colour, so that it reads in print and without colour.

local format = require "queuectl.view.format"
local gantt = require "queuectl.view.report_gantt"
local groups = require "queuectl.view.groups"
local html = require "queuectl.view.html"
local style = require "queuectl.view.report_style"
local text = require "queuectl.view.text"

local report_html = {}

--- Of more jobs than this, completed ones of a kind are folded away.
local FOLD_ABOVE, FOLD_FROM = 40, 4
local ROWS_OF_PATH = 30

local SHAPES = { completed = "✓", dead = "✕", cancelled = "⊘", skipped = "–", processing = "▶",
    failed = "↻", pending = "○", waiting = "◌", held = "∥" }
local ORDER = { "completed", "dead", "cancelled", "skipped", "processing", "failed", "pending",
    "waiting", "held" }

local escape = html.escape

local function state_mark(state)
    return ('<span class="s %s"><i>%s</i> %s</span>'):format(state, SHAPES[state] or "?", state)
end

local function run_state(data)
    local run = data.run
    if run.left > 0 then return "waiting", run.state or "interrupted" end
    if run.failed > 0 then return "dead", "failed" end
    return "completed", "ok"
end

-- ---- the parts, from top to bottom ----

local function figure(name, value)
    return ("<div><dt>%s</dt><dd>%s</dd></div>"):format(name, value)
end

local function head(data)
    local shape, word = run_state(data)
    local run, name = data.run, data.run.path:match("[^/]+$") or data.run.path
    local started = run.started_at and os.date("%Y-%m-%d %H:%M:%S", run.started_at) or "-"
    return ('<header><p class="what">run %d of a jobs file</p><h1>%s '
        .. '<span class="s %s"><i>%s</i> %s</span></h1><p class="path">%s</p><p class="muted">'
        .. 'started %s%s</p></header>'):format(run.id, escape(name), shape, SHAPES[shape],
        escape(word), escape(run.path), started,
        data.slots and ", on " .. format.plural(data.slots, "slot") or "")
end

local function totals(data)
    local facts, parts = data.facts, {}
    for _, state in ipairs(ORDER) do
        local n = facts.counts[state]
        if n and n > 0 then parts[#parts + 1] = figure(state_mark(state), format.count(n)) end
    end
    parts[#parts + 1] = figure("took", format.duration(data.seconds))
    parts[#parts + 1] = figure("work in all", format.duration(facts.work))
    if #facts.path.jobs > 0 then
        parts[#parts + 1] = figure("critical path", format.duration(facts.path.seconds))
    end
    if data.seconds > 0 and facts.work > 0 then
        parts[#parts + 1] = figure("at a time", ("%.1f"):format(facts.work / data.seconds))
    end
    return '<dl class="totals">' .. table.concat(parts) .. "</dl>"
end

local function section(title, content, note)
    return ("<section><h2>%s</h2>%s%s</section>"):format(title,
        note and '<p class="muted">' .. note .. "</p>" or "", content)
end

local function failure(job)
    local lines = {}
    for i, line in ipairs(job.output_end or {}) do lines[i] = html.pre(line) end
    local shown = #lines > 0 and ("<pre>%s</pre>"):format(table.concat(lines, "\n"))
        or '<p class="muted">It printed nothing.</p>'
    return ('<article><h3>%s <b class="name">%s</b></h3><p class="why">%s</p>%s'
        .. '<p class="muted">%s%s · <code>queuectl logs %s</code></p></article>'):format(
        state_mark(job.state), escape(job.label),
        html.pre(job.error or job.cause or ""):gsub("\n", "<br>"), shown,
        format.plural(job.attempts, "attempt"), job.allow_failure and ", allowed to fail" or "",
        escape(job.id))
end

local function failures(data)
    local parts, more = {}, 0
    for _, job in ipairs(data.list) do
        if job.output_end then
            parts[#parts + 1] = failure(job)
        elseif job.state == "dead" or job.state == "cancelled" then
            more = more + 1
        end
    end
    if #parts == 0 then return "" end
    if more > 0 then
        parts[#parts + 1] = ('<p class="muted">… and %s more; they stand in the table below.</p>')
            :format(format.count(more))
    end
    return section("What failed", table.concat(parts, "\n"))
end

local function skipped(data)
    local parts = {}
    for i, group in ipairs(data.facts.skipped) do
        if i > 20 then break end
        local names = {}
        for k, job in ipairs(group.jobs) do
            if k > 5 then break end
            names[k] = escape(job.label)
        end
        if #group.jobs > 5 then names[6] = "…" end
        parts[i] = ('<li>%s: %s <span class="muted name">(%s)</span></li>'):format(
            format.plural(#group.jobs, "job"), escape(group.cause), table.concat(names, ", "))
    end
    if #parts == 0 then return "" end
    return section("Skipped", "<ul>" .. table.concat(parts) .. "</ul>")
end

local LEGEND = '<span class="key ok"></span> completed <span class="key again"></span> tried again '
    .. '<span class="key bad"></span> dead'

local function timeline(data)
    local picture, has_rows = gantt.draw(data)
    if not picture then return "" end
    local note = has_rows and LEGEND .. ' <span class="key crit"></span> critical path'
        or LEGEND .. " · each row is one place to run at a time"
    return section("When it ran", picture, note)
end

local function critical_path(data)
    local path, rows = data.facts.path, {}
    if #path.jobs < 2 then return "" end
    for i, job in ipairs(path.jobs) do
        if i > ROWS_OF_PATH then
            rows[i] = ("<li>… %d more</li>"):format(#path.jobs - ROWS_OF_PATH)
            break
        end
        local share = path.seconds > 0 and (job.seconds or 0) / path.seconds * 100 or 0
        rows[i] = ('<li><span class="name">%s</span><span class="n">%s</span>'
            .. '<span class="share" style="width:%.1f%%"></span></li>'):format(escape(job.label),
            format.duration(job.seconds), share)
    end
    return section("Critical path", '<ol class="chain">' .. table.concat(rows) .. "</ol>",
        "With any number of slots it takes no less than " .. format.duration(path.seconds) .. ".")
end

local function pairs_list(title, map)
    local keys, parts = {}, {}
    for key in pairs(map or {}) do keys[#keys + 1] = key end
    if #keys == 0 then return "" end
    table.sort(keys)
    for i, key in ipairs(keys) do
        parts[i] = ("<dt>%s</dt><dd>%s</dd>"):format(escape(key), escape(text.value(map[key])))
    end
    return section(title, '<dl class="pairs">' .. table.concat(parts) .. "</dl>")
end

local function artifacts(data)
    local parts = {}
    for _, found in ipairs(data.facts.artifacts) do
        for _, entry in ipairs(found.list) do
            parts[#parts + 1] = ('<li><span class="name">%s</span> <span class="muted">(%s)</span>'
                .. "</li>"):format(escape(entry.path), escape(found.job.label))
        end
    end
    if #parts == 0 then return "" end
    return section("Artifacts", "<ul>" .. table.concat(parts) .. "</ul>")
end

-- ---- the table of jobs ----

-- Closing tags that HTML does not need are left out: ten thousand rows count.
local COLUMNS = '<thead><tr><th>state<th>job<th class="n">tries<th class="n">took'
    .. '<th class="n">waited</thead>'

local function job_row(data, job)
    local mark = data.on_path[job] and ' <span class="crit" title="critical path">*</span>' or ""
    return ('<tr><td>%s<td class="name">%s%s<td class="n">%d<td class="n">%s<td class="n">%s')
        :format(state_mark(job.state), escape(job.label), mark, #job.tries,
            format.duration(job.seconds), format.duration(job.waited))
end

local function spread(jobs)
    local sum, longest = 0, 0
    for _, job in ipairs(jobs) do
        sum = sum + (job.seconds or 0)
        longest = math.max(longest, job.seconds or 0)
    end
    return ("%s in all, the longest %s"):format(format.duration(sum), format.duration(longest))
end

local function folded(data, label, jobs)
    local rows = {}
    for i, job in ipairs(jobs) do rows[i] = job_row(data, job) end
    return ('<tr class="fold"><td>%s<td colspan="4"><details><summary><span class="name">%s</span>'
        .. ' ×%s <span class="muted">%s</span></summary><table>%s<tbody>%s</table></details>')
        :format(state_mark("completed"), escape(label), format.count(#jobs), spread(jobs), COLUMNS,
            table.concat(rows, "\n"))
end

-- Completed jobs by group, where there are enough to fold; the group stands at its first one.
local function foldable(data)
    if #data.list <= FOLD_ABOVE then return {} end
    local names, fold = {}, {}
    for i, job in ipairs(data.list) do
        if job.state == "completed" then names[i] = job.label end
    end
    for _, group in ipairs((groups.of(names, #data.list))) do
        if #group.members >= FOLD_FROM then
            local jobs = {}
            for k, i in ipairs(group.members) do jobs[k] = data.list[i] end
            for _, i in ipairs(group.members) do fold[i] = { label = group.label, jobs = jobs } end
            fold[group.members[1]].is_first = true
        end
    end
    return fold
end

local function job_table(data)
    local rows, fold = {}, foldable(data)
    for i, job in ipairs(data.list) do
        local group = fold[i]
        if not group then
            rows[#rows + 1] = job_row(data, job)
        elseif group.is_first then
            rows[#rows + 1] = folded(data, group.label, group.jobs)
        end
    end
    return section("Jobs", '<div class="wide"><table>' .. COLUMNS .. "<tbody>"
        .. table.concat(rows, "\n") .. "</table></div>")
end

--- The page. data: as view/report.lua gathers it.
function report_html.page(data)
    local title = ("run %d of %s"):format(data.run.id, data.run.path:match("[^/]+$") or "")
    return table.concat({
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        "<title>" .. escape(title) .. "</title>",
        "<style>" .. style .. "</style></head><body><main>",
        head(data), totals(data), failures(data), skipped(data),
        pairs_list("Outputs", data.facts.outputs), artifacts(data), timeline(data),
        critical_path(data), job_table(data), pairs_list("Parameters", data.params),
        ('<footer class="muted">Written by queuectl %s, %s</footer></main></body></html>\n'):format(
            escape(data.version), os.date("%Y-%m-%d %H:%M:%S", data.written_at)),
    }, "\n")
end

return report_html
