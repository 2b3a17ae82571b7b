"""Intervals of effects as a person would rather see them: against no difference, and the margin."""

import math
import shutil
import sys
from collections.abc import Iterator

from abctl.core import figures
from abctl.core.analysis import Analysis, Comparison, MetricResult
from abctl.stats.estimate import Estimate

_NARROWEST, _WIDEST = 25, 61
_AROUND = 1.1
_LEGEND = "├──●──┤ effect and its interval, │ no difference, ╎ margin"


def room() -> int:
    """Columns of the terminal; 0 where the answer goes elsewhere, or cannot show a line."""
    utf = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    return shutil.get_terminal_size().columns if sys.stdout.isatty() and utf else 0


def intervals(found: Analysis, columns: int) -> Iterator[str]:
    """A line for each effect, each to a scale of its own with 0 in the middle; none without room.

    Args:
        found: whose effects.
        columns: how wide a line may be.
    """
    rows = [
        (_name(found, metric, comparison), metric, comparison, comparison.effect)
        for metric in found.metrics
        for comparison in metric.comparisons
        if isinstance(comparison.effect, Estimate)
    ]
    if not rows:
        return
    lines = []
    for name, metric, comparison, effect in rows:
        margin = _margin(comparison, effect.control)
        seen = [effect.effect, margin or 0.0, *effect.interval]
        reach = _AROUND * max(abs(x) for x in seen if math.isfinite(x))
        ends = [figures.difference(x, metric.unit) for x in (-reach, reach)]
        lines.append((name, ends, metric.direction, effect, margin, reach or 1.0))
    names, lefts, rights = (
        max(map(len, each))
        for each in zip(*((name, *ends) for name, ends, *_ in lines), strict=True)
    )
    width = min(_WIDEST, columns - names - lefts - rights - len("  better →") - 4)
    if width < _NARROWEST:
        return
    half = (width - 1) // 2
    for name, (low, high), direction, effect, margin, reach in lines:
        better = "better →" if direction == "increase" else "← better"
        bar = _bar(effect, margin, reach, half)
        yield f"{name:<{names}}  {low:>{lefts}} {bar} {high:<{rights}}  {better}"
    yield _LEGEND


def _bar(effect: Estimate, margin: float | None, reach: float, half: int) -> str:
    def at(x: float) -> int:
        return round(half + max(-1.0, min(1.0, x / reach)) * half)

    cells = ["·"] * (2 * half + 1)
    low, high = effect.interval
    for i in range(at(low), at(high) + 1):
        cells[i] = "─"
    cells[at(low)] = "├" if math.isfinite(low) else "◄"
    cells[at(high)] = "┤" if math.isfinite(high) else "►"
    cells[half] = "┼" if cells[half] == "─" else "│"
    if margin is not None:
        cells[at(margin)] = "╎"
    cells[at(effect.effect)] = "●"
    return "".join(cells)


def _margin(comparison: Comparison, control: float) -> float | None:
    """What a guardrail may be worse by, as an effect."""
    claim = comparison.claim("non-inferior")
    return None if claim is None else claim.null.absolute(control)


def _name(found: Analysis, metric: MetricResult, comparison: Comparison) -> str:
    several = len(found.variants) > 2  # noqa: PLR2004 - control and one treatment
    return f"{metric.name} of {comparison.treatment}" if several else metric.name
