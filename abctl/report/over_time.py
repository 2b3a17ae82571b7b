"""Effects over time: what they are held against, and how a terminal shows them.

A picture of an effect has the same scale on a page and on a terminal: all of the later looks, no
difference, margin and mde. Of early looks, whose intervals are wide, it has as much as fits.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from abctl.core import figures
from abctl.core.analysis import Analysis, Comparison, MetricResult
from abctl.core.look import Look
from abctl.report.effects import named
from abctl.stats.delta import Delta
from abctl.stats.estimate import Estimate

_ROOM = 0.08
_ROWS, _FEWEST, _NARROWEST, _WIDEST = 7, 3, 25, 120
_SIGNS = {"zero": "─", "margin": "╌", "mde": "┄"}
_LEGEND = "━ effect, ░ interval (two-sided), ─ no difference, ╌ margin, ┄ mde"


@dataclass(frozen=True)
class Level:
    """A value that an effect is held against."""

    value: float
    text: str
    what: Literal["zero", "margin", "mde"]


def levels(metric: MetricResult, comparison: Comparison, effect: Estimate) -> list[Level]:
    """No difference, the margin, and the smallest effect worth finding on the good side."""
    found = [Level(0.0, "no difference", "zero")]
    claim = comparison.claim("non-inferior")
    if claim is not None and claim.null.value:
        value = _absolute(claim.null, effect)
        found.append(Level(value, f"margin {figures.size(claim.null, metric.unit)}", "margin"))
    if metric.mde is not None:
        sign = 1.0 if metric.direction == "increase" else -1.0
        mde = Delta(sign * abs(metric.mde.value), metric.mde.relative)
        size = figures.size(mde, metric.unit)
        found.append(Level(_absolute(mde, effect), f"mde {size}", "mde"))
    return [each for each in found if math.isfinite(each.value)]


def _absolute(size: Delta, effect: Estimate) -> float:
    """In the metric's unit, by the control's value of now."""
    return size.value * abs(effect.control) if size.relative else size.value


def known_looks(comparison: Comparison) -> list[Look]:
    """The looks that had an estimate."""
    return [each for each in comparison.path or () if math.isfinite(each.effect)]


def reach(looks: Sequence[Look], held: Sequence[Level]) -> tuple[float, float]:
    """From the least to the most that is to be seen."""
    later = looks[len(looks) // 3 :]
    ends = [end for each in later for end in each.interval if math.isfinite(end)]
    return around([*(each.effect for each in later), *(each.value for each in held), *ends])


def around(seen: Sequence[float]) -> tuple[float, float]:
    """Both ends of a scale, with some room beside what is to be seen."""
    low, high = min(seen), max(seen)
    room = _ROOM * (high - low) or abs(high) or 1.0
    return low - room, high + room


def strips(found: Analysis, columns: int) -> Iterator[str]:
    """Of each effect some lines that show how it and its interval moved; none without room.

    Args:
        found: an analysis, with paths.
        columns: how wide a line may be.
    """
    drawn = False
    for metric in found.metrics:
        for comparison in metric.comparisons:
            looks, effect = known_looks(comparison), comparison.effect
            if len(looks) < _FEWEST or not isinstance(effect, Estimate):
                continue
            held = levels(metric, comparison, effect)
            lines = list(_strip(metric, looks, held, columns))
            if lines:
                drawn = True
                yield f"{named(found, metric, comparison)}, {len(looks)} looks:"
                yield from lines
    if drawn:
        yield _LEGEND


def _strip(
    metric: MetricResult, looks: Sequence[Look], held: Sequence[Level], columns: int
) -> Iterator[str]:
    low, high = reach(looks, held)
    marks = {
        0: figures.difference(high, metric.unit),
        _ROWS - 1: figures.difference(low, metric.unit),
    }
    label = max(map(len, marks.values()))
    width = min(_WIDEST, columns - label - 3)
    if width < _NARROWEST:
        return

    def row(value: float) -> int:
        share = (high - min(max(value, low), high)) / (high - low)
        return round(share * (_ROWS - 1))

    cells = [[" "] * width for _ in range(_ROWS)]
    for each in held[::-1]:
        cells[row(each.value)] = [_SIGNS[each.what]] * width
    for column in range(width):
        look = looks[column * len(looks) // width]
        for number in range(row(look.interval[1]), row(look.interval[0]) + 1):
            if cells[number][column] == " ":
                cells[number][column] = "░"
        cells[row(look.effect)][column] = "━"
    for number, line in enumerate(cells):
        yield f"  {marks.get(number, ''):>{label}} {''.join(line).rstrip()}"
