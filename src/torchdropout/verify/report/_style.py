"""The style of the HTML report."""

# All of it stands under `.td-report`, so that a notebook's own style stays as it was. Widths are
# those of the report, not of the window: a notebook gives it a part.
CSS = """
.td-report {
  color-scheme: light dark;
  --td-paper: light-dark(#ffffff, #14171c);
  --td-card: light-dark(#f6f7f9, #1c2027);
  --td-ink: light-dark(#1c2128, #e4e7ec);
  --td-dim: light-dark(#59636e, #9da7b3);
  --td-line: light-dark(#c9d0d8, #3b434e);
  --td-pale: light-dark(#e3e8ee, #2b323c);
  --td-band: light-dark(#e4edf8, #22303f);
  --td-seen: light-dark(#1f5fa8, #6cb0f5);
  --td-pass: light-dark(#1a6f37, #4cc26a);
  --td-fail: light-dark(#b3261e, #ff7f76);
  --td-warn: light-dark(#855600, #e0ae3f);
  --td-mono: ui-monospace, "SF Mono", Menlo, Consolas, monospace;
  background: var(--td-paper); color: var(--td-ink); container-type: inline-size;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
[data-jp-theme-light="true"] .td-report, .vscode-light .td-report { color-scheme: light }
[data-jp-theme-light="false"] .td-report, .vscode-dark .td-report { color-scheme: dark }
@media print { .td-report { color-scheme: light } }
.td-report *, .td-report *::before { box-sizing: border-box }
.td-report main { max-width: 70rem; margin: 0 auto; padding: 1.25rem 1rem 3rem;
  overflow-wrap: anywhere }
.td-report :is(h1, h2, h3, h4, p, ul, dl, dd, figure) { margin: 0; padding: 0 }
.td-report :is(h1, h2) { font-size: 1.6rem; line-height: 1.25; font-weight: 650;
  color: var(--td-mood) }
.td-report h3 { font-size: 1.05rem; line-height: 1.3; margin: 2.25rem 0 .75rem }
.td-report h4 { font-size: .85rem; color: var(--td-dim); margin: 1rem 0 .35rem }
.td-report code, .td-report pre { font: .86em/1.5 var(--td-mono) }
.td-report code { background: none; padding: 0; color: inherit }
.td-report pre { background: var(--td-paper); border: 1px solid var(--td-line); border-radius: 6px;
  padding: .6rem .8rem; margin: .5rem 0; overflow-x: auto; white-space: pre; color: inherit }
.td-report .pass { --td-mood: var(--td-pass) }
.td-report .fail { --td-mood: var(--td-fail) }
.td-report .ok { --td-mood: var(--td-pass) }
.td-report .advice { --td-mood: var(--td-warn) }
.td-report .none, .td-report .known, .td-report .skip { --td-mood: var(--td-dim) }
.td-banner { background: var(--td-card); border-left: 5px solid var(--td-mood);
  border-radius: 4px 8px 8px 4px; padding: .9rem 1.1rem }
.td-banner p { color: var(--td-dim) }
.td-banner .td-judged { font: 600 .95rem/1.4 var(--td-mono); color: var(--td-ink) }
.td-target + .td-target, .td-targets + .td-target { margin-top: 3rem }
.td-report .td-targets { list-style: none; margin-top: 1rem }
.td-targets li { padding: .2rem 0 }
.td-targets li::before { content: ""; display: inline-block; width: .6rem; height: .6rem;
  margin-right: .6rem; border-radius: 50%; background: var(--td-mood) }
.td-report a { color: inherit; text-decoration-color: var(--td-dim) }
.td-report .td-description { margin-top: .9rem }
.td-targets span, .td-description { color: var(--td-dim) }
.td-report .td-facts { display: flex; flex-wrap: wrap; gap: .15rem 1.4rem; margin: .5rem 0 0 }
.td-facts div { display: flex; flex-wrap: wrap; gap: 0 .4rem }
.td-facts dt { color: var(--td-dim); font-weight: 400 }
.td-facts dd { font-variant-numeric: tabular-nums }
.td-badge { display: inline-block; min-width: 4rem; text-align: center; border-radius: 4px;
  font: 600 .78rem/1.55 var(--td-mono);
  color: var(--td-mood); border: 1px solid var(--td-mood); overflow-wrap: normal }
.td-badge.ok, .td-badge.skip, .td-badge.known { border-color: var(--td-line) }
.td-badge.fail { background: var(--td-fail); color: var(--td-paper) }
.td-finding { background: var(--td-card); border-left: 3px solid var(--td-mood);
  border-radius: 4px 8px 8px 4px; margin: .5rem 0; padding: .65rem .9rem }
.td-finding summary { cursor: pointer }
.td-finding summary code { color: var(--td-dim); margin-left: .25rem }
.td-finding summary span:last-child { display: block; margin: .2rem 0 0 1.1rem }
.td-finding[open] summary { margin-bottom: .75rem }
.td-finding > p, .td-finding > pre { max-width: 46rem }
.td-finding > p + p { margin-top: .6rem }
.td-scroll { overflow-x: auto; margin-top: .6rem }
.td-report table { border-collapse: collapse; width: 100%; font-size: .93em; margin: 0;
  border: 0 }
.td-report th, .td-report td { text-align: left; vertical-align: top;
  padding: .35rem .9rem .35rem 0; font-weight: 400; border: 0; background: none;
  white-space: normal }
.td-report thead th { color: var(--td-dim); font-size: .85em; padding-bottom: .1rem }
.td-report tbody tr { background: none; border-bottom: 1px solid var(--td-pale) }
.td-scroll td, .td-scroll th { white-space: nowrap; overflow-wrap: normal;
  font-variant-numeric: tabular-nums }
.td-checks td { font-variant-numeric: tabular-nums }
.td-checks td:first-child { width: 5.6rem }
.td-checks th[scope="row"] { width: 11.5rem; font-weight: 600 }
.td-checks td:last-child { width: 30%; color: var(--td-dim); font-size: .93em; padding-right: 0 }
.td-report .td-group { border: 0 }
.td-group th { color: var(--td-dim); font-size: .85em; padding-top: 1rem; padding-bottom: .1rem }
.td-checks .skip th, .td-checks .skip td { color: var(--td-dim) }
.td-pictures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr)) }
.td-report figure { background: var(--td-card); border-radius: 8px; padding: .8rem .9rem;
  min-width: 0 }
.td-report figure.fail, .td-report figure.advice { box-shadow: inset 0 3px 0 var(--td-mood) }
.td-report figcaption { line-height: 1.35; text-wrap: balance }
.td-report figcaption code { color: var(--td-dim); white-space: nowrap }
.td-report figure svg { display: block; width: 100%; height: auto; max-width: 28rem;
  margin: .6rem auto 0 }
.td-report figure svg * { stroke-linejoin: round; stroke-linecap: butt }
.td-report figure svg text { font-family: inherit }
@container (max-width: 44rem) {
  .td-checks thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px;
    overflow: hidden }
  .td-checks, .td-checks tbody { display: block }
  .td-checks tr { display: grid; grid-template-columns: 5.2rem minmax(0, 1fr); padding: .35rem 0 }
  .td-checks tr > * { padding: 0 0 .1rem; grid-column: 2 }
  .td-checks tr > td:first-child { grid-column: 1; width: auto }
  .td-checks th[scope="row"], .td-checks td:last-child { width: auto }
  .td-checks td:last-child:not(:empty)::before { content: "would see " }
  .td-checks .td-group th { grid-column: 1 / -1; padding-top: .8rem }
}
"""
