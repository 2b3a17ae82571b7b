"""On a terminal: how each effect and its interval moved, in 80 columns and in 200."""

from dataclasses import replace
from pathlib import Path

import pytest

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.look import USUAL_LOOKS
from abctl.evidence import saved
from abctl.report.over_time import strips

SAVED = Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz"
ROWS = 7


@pytest.fixture(scope="module")
def found() -> Analysis:
    return judge(saved.load(SAVED), looks=USUAL_LOOKS)


def of(found: Analysis, name: str, columns: int) -> list[str]:
    lines = list(strips(found, columns))
    (first,) = [i for i, line in enumerate(lines) if line.startswith(f"{name}, ")]
    return lines[first + 1 : first + 1 + ROWS]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 200])
def test_every_effect_fits_and_shows_where_it_is_now(found: Analysis, columns: int) -> None:
    lines = list(strips(found, columns))
    assert len([line for line in lines if " looks:" in line]) == len(found.metrics)
    assert max(map(len, lines)) <= columns
    drawn = of(found, "errors", columns)
    wide = max(map(len, drawn))
    at = [i for i, line in enumerate(drawn) if line.ljust(wide)[-1] == "━"]
    zero = [i for i, line in enumerate(drawn) if "─" in line]
    margin = [i for i, line in enumerate(drawn) if "╌" in line]
    # 0.0063 more errors than 0, and less than the margin, half of the control's 0.018.
    assert margin[0] <= at[0] < zero[0]


def test_the_interval_is_around_the_effect(found: Analysis) -> None:
    drawn = of(found, "latency p70", 80)
    wide = max(map(len, drawn))
    last = "".join(line.ljust(wide)[-1] for line in drawn)
    before, _, after = last.partition("━")
    assert "░" in before
    assert "░" in after


def test_there_is_nothing_without_room_or_without_a_path(found: Analysis) -> None:
    assert not list(strips(found, 0))
    bare = tuple(
        replace(m, comparisons=tuple(replace(c, path=None) for c in m.comparisons))
        for m in found.metrics
    )
    assert not list(strips(replace(found, metrics=bare), 200))
