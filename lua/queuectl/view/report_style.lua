-- The look of a run's report. One scale of type, one of space, few colours; in the dark the same
-- with other values.

return [[
:root{--bg:#fcfcfb;--fg:#1c1e21;--soft:#5c6270;--rule:#e2e2de;--panel:#f4f4f1;
--ok:#2f7a4d;--bad:#b3261e;--off:#8a5a00;--now:#1f5fa8;--bar:#7f9c8a;--edge:#35523f}
@media (prefers-color-scheme:dark){:root{--bg:#15171a;--fg:#e4e5e7;--soft:#989fab;--rule:#2c3036;
--panel:#1d2024;--ok:#79c496;--bad:#f2887f;--off:#dcae5b;--now:#82b5ef;--bar:#527a62;
--edge:#9fd0b1}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem 3rem}
h1{font-size:1.6rem;line-height:1.25;margin:0;font-weight:650;overflow-wrap:anywhere}
h1 .s{font-size:1rem;font-weight:500;margin-left:.4rem;white-space:nowrap}
h2{font-size:1.05rem;margin:0 0 .6rem;font-weight:650}
h3{font-size:1rem;margin:0;font-weight:400;overflow-wrap:anywhere}
p{margin:0}
ul{margin:0;padding-left:1.1rem}
code,pre,.path,.pairs{font:13px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace}
.muted,.path,.what,footer,dt,th{color:var(--soft)}
.what,.muted,dt,th,footer{font-size:13px}
.path{overflow-wrap:anywhere;margin:.15rem 0}
section{margin-top:2.25rem}
section>.muted{margin:-.35rem 0 .6rem}
.name{overflow-wrap:anywhere;unicode-bidi:isolate}
.n{font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}
.s{white-space:nowrap}
.s i{font-style:normal;display:inline-block;width:1.1em;text-align:center;font-weight:700}
.completed{color:var(--ok)}.dead{color:var(--bad)}.cancelled,.failed{color:var(--off)}
.processing{color:var(--now)}.skipped,.pending,.waiting,.held{color:var(--soft)}
dl{margin:0}dd{margin:0}
.totals{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));
margin-top:1.4rem;border:1px solid var(--rule);border-radius:6px;overflow:hidden}
.totals div{padding:.55rem .75rem;box-shadow:1px 0 var(--rule),0 1px var(--rule)}
.totals dd{font-size:1.15rem;font-variant-numeric:tabular-nums;line-height:1.3}
.totals .s{font-size:13px}
article{border-left:3px solid var(--bad);padding:.1rem 0 .1rem .9rem;margin:0 0 1.4rem}
article p{margin-top:.2rem}
.why{overflow-wrap:anywhere}
pre{margin:.5rem 0;padding:.65rem .8rem;background:var(--panel);border-radius:4px;
white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext}
.gantt{display:block;max-width:100%}
.gantt text{font-size:12px;fill:var(--fg)}
.gantt .axis{fill:var(--soft);font-size:11px}
.gantt .tick{stroke:var(--rule)}
.gantt text.crit{font-weight:650}
.gantt rect.ok,.key.ok{fill:var(--bar);background:var(--bar)}
.gantt rect.bad,.key.bad{fill:var(--bad);background:var(--bad)}
.gantt rect.off{fill:var(--off)}
.gantt rect.now{fill:var(--now)}
.gantt rect.again{fill:url(#stripes);stroke:var(--bad);stroke-width:1}
.gantt .ground{fill:var(--bg)}.gantt .stripe{fill:var(--bad)}
.gantt rect.crit{stroke:var(--edge);stroke-width:2}
.key{display:inline-block;width:1.1rem;height:.7rem;border-radius:1px;margin:0 .15rem 0 .6rem}
.key:first-child{margin-left:0}
.key.again{border:1px solid var(--bad);
background:repeating-linear-gradient(45deg,var(--bad) 0 2px,transparent 2px 5px)}
.key.crit{border:2px solid var(--edge)}
.chain{list-style:none;margin:0;padding:0}
.chain li{display:grid;grid-template-columns:1fr auto;column-gap:1rem;padding:.3rem 0 .35rem;
position:relative;border-bottom:1px solid var(--rule)}
.share{position:absolute;left:0;bottom:-1px;height:3px;background:var(--bar)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{font-weight:400;text-align:left;padding:.2rem 1rem .3rem 0;border-bottom:1px solid var(--rule)}
th.n{text-align:right}
td{padding:.22rem 1rem .22rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
td:last-child,th:last-child{padding-right:0}
td.name,th:nth-child(2){width:100%}
summary{cursor:pointer}
details table{margin:.4rem 0 .6rem;font-size:13px}
.pairs{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem}
.pairs dt{font-size:13px}.pairs dd{overflow-wrap:anywhere}
td .crit{font-weight:700}
footer{margin-top:2.5rem;padding-top:.8rem;border-top:1px solid var(--rule)}
@media (max-width:34rem){main{padding:1.25rem .9rem 2rem}h1{font-size:1.35rem}
.totals{grid-template-columns:repeat(auto-fill,minmax(6.4rem,1fr))}
.totals div{padding:.45rem .6rem}td,th{padding-right:.5rem}td .s{font-size:12px}
.pairs{grid-template-columns:1fr;gap:0}.pairs dd{margin-bottom:.4rem}
table{font-size:13px}.gantt text{font-size:11px}}
@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--rule:#bbb;--panel:#f2f2f2}
body{font-size:10pt}main{max-width:none;padding:0}
article,.chain li,tr{break-inside:avoid}h2{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
]]
