"""How the page looks: light, dark, on paper and on a narrow screen.

Colors are those of Okabe and Ito (lightened where it is dark), which people of any color vision
tell apart; nothing is told by a color alone.
"""

# Of the lines of a picture: seven colors, then the same with other dashes.
_LIGHT = ("#0072b2", "#b34700", "#00734f", "#9c4077", "#8a6500", "#2476a3", "#3d3d3d")
_DARK = ("#5ab4e8", "#f28e4d", "#3fc598", "#e39ac4", "#e8c64a", "#9ad0f0", "#d0d0d0")
_DASHES = ("none", "8 3", "2 3", "10 3 2 3")

_COLORS_LIGHT = """
  --paper: #fff; --ink: #1b1f24; --soft: #57606a; --rule: #d0d7de; --fill: #f6f8fa;
  --ship: #1a6e34; --continue: #7a5200; --stop: #b3261e; --invalid: #7d2a8c; --link: #0757a8;
"""
_COLORS_DARK = """
  --paper: #14181d; --ink: #e6e9ec; --soft: #a3acb6; --rule: #3b434c; --fill: #1e242b;
  --ship: #58c97b; --continue: #e3b341; --stop: #ff8a80; --invalid: #dd9cec; --link: #7ab8f5;
"""
_RULES = """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 3rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
h1 { font-size: 1.5rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 0.25rem; } p, ul { margin: 0.4rem 0; }
ul { padding-left: 1.25rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; background: var(--paper); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; padding: 0; }
.verdict { border-left: 0.5rem solid var(--kind); padding: 0.5rem 1rem; background: var(--fill); }
.verdict strong { color: var(--kind); font-size: 1.4rem; letter-spacing: 0.02em; }
.said { color: var(--kind); }
.ship { --kind: var(--ship); } .continue { --kind: var(--continue); }
.stop { --kind: var(--stop); } .invalid { --kind: var(--invalid); }
.soft, figcaption, caption { color: var(--soft); font-size: 0.875rem; }
code, pre { font: 0.875rem/1.4 ui-monospace, monospace; } pre { white-space: pre-wrap; }
.pictures { display: grid; gap: 1rem 2rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
figure { margin: 0; min-width: 0; break-inside: avoid; } svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
caption { text-align: left; padding: 0.25rem 0; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid var(--rule); white-space: nowrap; font-size: 0.8rem; }
tbody th { font-weight: 600; } .n { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
tr.below td { padding-bottom: 0.75rem; color: var(--soft); }
tr.below div { position: sticky; left: 0; max-width: calc(100vw - 2.5rem); width: max-content; }
details { margin: 0.25rem 0; } summary { cursor: pointer; color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
svg text { font: 13px system-ui, sans-serif; fill: var(--soft); stroke: none; }
.grid { stroke: var(--rule); stroke-width: 1; }
line.zero { stroke: var(--soft); stroke-width: 1.5; }
line.margin { stroke: var(--stop); stroke-width: 1.5; stroke-dasharray: 6 4; }
line.mde { stroke: var(--ship); stroke-width: 1.5; stroke-dasharray: 2 3; }
text.margin { fill: var(--stop); } text.mde { fill: var(--ship); }
.band { fill: var(--c0); opacity: 0.18; } .line { fill: none; stroke: var(--c); stroke-width: 2; }
.interval { stroke: var(--c); stroke-width: 5; } .dot { fill: var(--c); }
.ordered { fill: none; stroke: var(--c); stroke-width: 1.5; stroke-dasharray: 3 4; }
.area { fill: var(--c); opacity: 0.45; stroke: var(--paper); stroke-width: 1; }
.uncounted { fill: none; stroke: var(--soft); stroke-dasharray: 3 3; }
svg text.in { fill: var(--ink); } svg text[class^="s"] { fill: var(--c); stroke-dasharray: none; }
@media (max-width: 30rem) { body { padding: 0.75rem; } svg text { font-size: 15px; } }
@media print { nav, .skip { display: none; } body { max-width: none; padding: 0; font-size: 11pt; }
  .scroll { overflow: visible; } h2, h3 { break-after: avoid; } figure details { display: none; }
  .pictures { grid-template-columns: 1fr 1fr; } }
"""


def style(within: str | None = None) -> str:
    """The style sheet; nothing in it comes from elsewhere.

    Args:
        within: the class of an element that has it for itself; None: it is of the whole page.
    """
    of_all = ":root" if within is None else "&"
    dark = f"{of_all} {{{_colors(_COLORS_DARK, _DARK)}}}"
    series = " ".join(f".s{i} {{ --c: var(--c{i}); }}" for i in range(len(_LIGHT)))
    dashes = " ".join(
        f".line.k{i}, .ordered.k{i} {{ stroke-dasharray: {dash}; }}"
        for i, dash in enumerate(_DASHES)
        if i
    )
    light = f"{of_all} {{ color-scheme: light dark; {_colors(_COLORS_LIGHT, _LIGHT)}}}"
    at_night = f"@media screen and (prefers-color-scheme: dark) {{ {dark} }}"
    whole = f"{light}\n{at_night}\n{series}\n{dashes}\n{_RULES}"
    if within is None:
        return whole
    return f".{within} {{\n{whole.replace('body {', '& {')}}}"


def _colors(others: str, lines: tuple[str, ...]) -> str:
    return others + " ".join(f"--c{i}: {color};" for i, color in enumerate(lines))
