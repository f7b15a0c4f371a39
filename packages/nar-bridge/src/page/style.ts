/** The style of all pages; it stands in each, so that a page is one request. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f4f7fa; --surface: #fff; --sunk: #eef3f7; --line: #dbe3ea; --text: #15212c; --quiet: #5a6b7b;
  --accent: #0a66c2; --accent-ground: #e3effb; --go: #14804a; --warn: #9a5b00; --warn-ground: #fdf3dd;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1319; --surface: #141c24; --sunk: #101820; --line: #25313d; --text: #dde6ee; --quiet: #8ea0b1;
    --accent: #71b7fb; --accent-ground: #14283c; --go: #5cc98e; --warn: #e6b45c; --warn-ground: #2b2314;
  }
}
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif }
a { color: var(--accent); text-decoration: none }
a:hover { text-decoration: underline }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px }
.wide { max-width: 64rem; margin: 0 auto; padding-left: 1.25rem; padding-right: 1.25rem }
.symbols { position: absolute; width: 0; height: 0; overflow: hidden }
.top { background: var(--surface); border-bottom: 1px solid var(--line) }
.top .wide { display: flex; align-items: center; gap: 1.5rem; padding-top: .7rem; padding-bottom: .7rem }
.brand { display: flex; align-items: center; gap: .5rem; color: var(--text); font-weight: 650; font-size: 1.1rem; letter-spacing: .01em }
.brand:hover { text-decoration: none; color: var(--accent) }
.mark { width: 1.6rem; height: 1.6rem; fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-linecap: round; stroke-linejoin: round }
.search { flex: 1; display: flex; gap: .5rem; max-width: 34rem; margin-left: auto }
input { flex: 1; min-width: 0; font: inherit; color: inherit; background: var(--sunk); border: 1px solid var(--line); border-radius: 8px; padding: .4rem .75rem }
button, .button { font: inherit; font-size: .95rem; color: var(--text); background: var(--surface); border: 1px solid var(--line); border-radius: 8px; padding: .4rem .85rem; cursor: pointer; white-space: nowrap }
button:hover, .button:hover { border-color: var(--accent); color: var(--accent); text-decoration: none }
main { padding-top: 1.75rem; padding-bottom: 2rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .35rem; letter-spacing: -.01em; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem }
p { margin: .4rem 0 }
.quiet { color: var(--quiet) }
.small { font-size: .875rem }
code, pre, .mono { font-family: var(--mono); font-size: .875em }
.whole { overflow-wrap: anywhere; user-select: all }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; overflow: hidden }
.card.scroll { overflow-x: auto }
.card.padded { padding: 1rem 1.25rem }
.intro > * + * { margin-top: 1.1rem }
pre { margin: .5rem 0; padding: .75rem 1rem; background: var(--sunk); border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; line-height: 1.45; tab-size: 8 }
pre.copy { user-select: all }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .45rem 1.5rem; margin: 0 }
.facts dt { color: var(--quiet) }
.facts dd { margin: 0; overflow-wrap: anywhere }
.facts ul { list-style: none; margin: 0; padding: 0 }
.facts summary { cursor: pointer; color: var(--quiet) }
table { width: 100%; border-collapse: collapse }
th { text-align: left; font-size: .8rem; font-weight: 600; color: var(--quiet); background: var(--sunk) }
th, td { padding: .5rem 1.25rem; border-bottom: 1px solid var(--line); vertical-align: baseline }
tr:last-child td { border-bottom: 0 }
tbody tr:hover { background: var(--sunk) }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; width: 1% }
td.number { color: var(--quiet) }
.name { overflow-wrap: anywhere; font-weight: 550 }
.hash { display: block; font-family: var(--mono); font-size: .78rem; font-weight: 400; color: var(--quiet); overflow-wrap: anywhere }
.listing td { padding-top: .38rem; padding-bottom: .38rem }
.listing .name { font-weight: 400; unicode-bidi: isolate }
.target { color: var(--quiet); overflow-wrap: anywhere }
.icon { width: 1rem; height: 1rem; margin-right: .65rem; vertical-align: -.14em; fill: none; stroke: var(--quiet); stroke-width: 1.2; stroke-linejoin: round; flex: none }
.icon.directory { stroke: var(--accent); fill: var(--accent-ground) }
.icon.executable { stroke: var(--go) }
.crumbs { font-family: var(--mono); font-size: .85rem; margin-bottom: .8rem; overflow-wrap: anywhere; color: var(--quiet) }
.tabs { display: flex; flex-wrap: wrap; gap: .25rem; margin: 1.5rem 0 1rem; border-bottom: 1px solid var(--line) }
.tabs a { padding: .5rem .9rem; color: var(--quiet); border-bottom: 2px solid transparent; margin-bottom: -1px }
.tabs a:hover { color: var(--text); text-decoration: none }
.tabs a[aria-current] { color: var(--text); font-weight: 600; border-color: var(--accent) }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin: .9rem 0 }
.bar .grow { flex: 1 }
.note { padding: .6rem .9rem; border-radius: 8px; background: var(--warn-ground); color: var(--warn); font-size: .92rem; margin: .8rem 0 }
.empty { padding: 2.5rem 1.25rem; text-align: center; color: var(--quiet) }
.preview { margin: 0; border: 0; border-radius: 0; background: none; font-size: .82rem; unicode-bidi: plaintext }
.preview.image { padding: 1.25rem; text-align: center }
.preview img { max-width: 100%; max-height: 70vh }
.odd { color: var(--warn); background: var(--warn-ground); border-radius: 3px }
.meter { display: flex; height: .6rem; border-radius: 99px; overflow: hidden; background: var(--sunk); border: 1px solid var(--line); margin: .25rem 0 }
.meter svg { width: 100%; height: 100%; display: block }
.meter rect { fill: var(--accent) }
footer { padding-top: 1rem; padding-bottom: 2rem; color: var(--quiet); font-size: .85rem }
@media (max-width: 40rem) {
  .wide { padding-left: .9rem; padding-right: .9rem }
  .top .wide { flex-wrap: wrap; gap: .6rem }
  .search { flex-basis: 100%; max-width: none }
  main { padding-top: 1.1rem }
  h1 { font-size: 1.35rem }
  th, td { padding-left: .9rem; padding-right: .9rem }
  .card.scroll { overflow-x: auto }
.card.padded { padding: .9rem }
  .facts { grid-template-columns: minmax(0, 1fr); gap: 0 }
  .facts dt { font-size: .82rem; margin-top: .6rem }
  .facts dt:first-child { margin-top: 0 }
  .tabs { flex-wrap: nowrap; overflow-x: auto; overflow-y: hidden }
  .hash { font-size: .68rem }
  pre.copy { white-space: pre-wrap; overflow-wrap: anywhere }
}
@media print { .top, footer, .tabs, .bar { display: none } body { background: none } }
`
