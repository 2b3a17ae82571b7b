"""The plot shows what the numbers say, to the cell."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from estimates import PLAIN

from abctl.core.analysis import Claim, Comparison
from abctl.report.plot import intervals
from abctl.stats.estimate import Delta, Estimate

INFINITY = float("inf")
EFFECT = replace(
    PLAIN, effect=0.05, interval=(-0.1, 0.2), lift=0.1, lift_interval=(-0.2, 0.4), p=0.5
)


def guarded(margin: Delta) -> tuple[Claim, ...]:
    """Within a margin and over it, with the ends of the two-sided intervals for bounds."""
    ends = (EFFECT.lift_interval if margin.relative else EFFECT.interval) or ()
    within, over = (replace(EFFECT, alternative=side) for side in ("greater", "less"))
    return (
        Claim("non-inferior", margin, within, None, proven=False, bound=ends[0]),
        Claim("harm", margin, over, None, proven=False, bound=ends[1]),
    )


def lines(*effects: Estimate, margin: Delta | None = None, columns: int = 100) -> list[str]:
    claims = () if margin is None else guarded(margin)
    metrics = [
        SimpleNamespace(
            name=f"m{i}",
            unit="share",
            quantile=None,
            direction="increase",
            comparisons=(Comparison("treatment", effect, claims),),
        )
        for i, effect in enumerate(effects)
    ]
    found: Any = SimpleNamespace(metrics=metrics, variants=("control", "treatment"))
    return list(intervals(found, columns))


def bar(line: str) -> str:
    found = re.search(r" ([·├─┼│●┤╎◄►]+) ", line)
    assert found
    return found[1]


def test_places_are_in_proportion() -> None:
    (line, legend) = lines(EFFECT)
    found = bar(line)
    half = (len(found) - 1) // 2
    reach = 0.22
    for mark, value in (("├", -0.1), ("●", 0.05), ("┤", 0.2)):
        assert abs((found.index(mark) - half) / half * reach - value) <= reach / half
    assert found[half] == "┼"
    assert "-22.00pp" in line
    assert line.endswith("+22.00pp  better →")
    assert legend.startswith("├──●──┤ effect")


def test_an_interval_without_zero_leaves_the_line_alone() -> None:
    assert "│" in bar(lines(replace(EFFECT, interval=(0.01, 0.2)))[0])


def test_an_open_end_is_an_arrow() -> None:
    found = bar(lines(replace(EFFECT, interval=(-0.1, INFINITY)))[0])
    assert found.endswith("►")


def test_of_a_relative_margin_everything_is_relative() -> None:
    (line, _) = lines(EFFECT, margin=Delta(-0.3, relative=True))
    found = bar(line)
    half = (len(found) - 1) // 2
    reach = 0.44
    for mark, value in (("╎", -0.3), ("├", -0.2), ("●", 0.1), ("┤", 0.4)):
        assert abs((found.index(mark) - half) / half * reach - value) <= reach / half
    assert "-44.0%" in line


@pytest.mark.parametrize(("margin", "inside"), [(-0.05, True), (-0.15, False)])
def test_a_margin_lies_where_the_bound_leaves_it(margin: float, inside: bool) -> None:
    found = bar(lines(EFFECT, margin=Delta(margin, relative=False))[0])
    assert (found.index("╎") > found.index("├")) == inside


@pytest.mark.parametrize("columns", [0, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    found = lines(EFFECT, replace(EFFECT, effect=0.0, interval=(0.0, 0.0)), columns=columns)
    assert all(len(line) <= columns for line in found)
    assert bool(found) == (columns >= 60)


def test_without_a_lift_there_is_no_line() -> None:
    unknown = replace(EFFECT, lift=None, lift_interval=None)
    claims = (Claim("non-inferior", Delta(0.1, relative=True), unknown, None, proven=False),)
    metric = SimpleNamespace(
        name="m", comparisons=(Comparison("treatment", unknown, claims),), quantile=None
    )
    found: Any = SimpleNamespace(metrics=[metric], variants=("control", "treatment"))
    assert list(intervals(found, 100)) == []
