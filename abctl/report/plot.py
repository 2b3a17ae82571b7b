"""Intervals of effects as a person would rather see them: against no difference, and the margin."""

import math
import shutil
import sys
from collections.abc import Iterator

from abctl.core.analysis import Analysis
from abctl.report.effects import named, written
from abctl.report.question import Question, question

_NARROWEST, _WIDEST = 25, 61
_AROUND = 1.1
_LEGEND = "├──●──┤ effect and its interval, │ no difference, ╎ margin"


def room() -> int:
    """Columns of the terminal; 0 where the answer goes elsewhere, or cannot show a line."""
    utf = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    return shutil.get_terminal_size().columns if sys.stdout.isatty() and utf else 0


def intervals(found: Analysis, columns: int) -> Iterator[str]:
    """A line for each effect, each to a scale of its own with 0 in the middle; none without room.

    They are the intervals of the table: relative where the margin is.

    Args:
        found: whose effects.
        columns: how wide a line may be.
    """
    lines = []
    for metric in found.metrics:
        for comparison in metric.comparisons:
            asked = question(comparison)
            if not isinstance(asked, Question) or asked.effect is None:
                continue
            known = [end for end in asked.ends if end is not None and math.isfinite(end)]
            reach = _AROUND * max(abs(x) for x in (asked.effect, asked.null.value, *known)) or 1.0
            ends = [written(metric, asked)(x, 0) for x in (-reach, reach)]
            lines.append((named(found, metric, comparison), ends, metric.direction, asked, reach))
    if not lines:
        return
    names, lefts, rights = (
        max(map(len, each))
        for each in zip(*((name, *ends) for name, ends, *_ in lines), strict=True)
    )
    width = min(_WIDEST, columns - names - lefts - rights - len("  better →") - 4)
    if width < _NARROWEST:
        return
    half = (width - 1) // 2
    for name, (low, high), direction, asked, reach in lines:
        better = "better →" if direction == "increase" else "← better"
        bar = _bar(asked, asked.effect or 0.0, reach, half)
        yield f"{name:<{names}}  {low:>{lefts}} {bar} {high:<{rights}}  {better}"
    yield _LEGEND


def _bar(asked: Question, effect: float, reach: float, half: int) -> str:
    def at(x: float) -> int:
        return round(half + max(-1.0, min(1.0, x / reach)) * half)

    cells = ["·"] * (2 * half + 1)
    low, high = (
        open_end if end is None else end
        for end, open_end in zip(asked.ends, (-math.inf, math.inf), strict=True)
    )
    for i in range(at(low), at(high) + 1):
        cells[i] = "─"
    cells[at(low)] = "├" if math.isfinite(low) else "◄"
    cells[at(high)] = "┤" if math.isfinite(high) else "►"
    cells[half] = "┼" if cells[half] == "─" else "│"
    if asked.null.value:
        cells[at(asked.null.value)] = "╎"
    cells[at(effect)] = "●"
    return "".join(cells)
