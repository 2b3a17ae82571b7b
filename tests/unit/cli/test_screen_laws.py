"""Whatever was found, its screen fits 80 columns and does not contradict itself."""

import re
from itertools import pairwise

import pytest
from analyses import ALPHA, analyses
from hypothesis import HealthCheck, Phase, assume, given
from laws import law

from abctl.core.analysis import Analysis, Comparison, MetricResult
from abctl.report.analysis import screen
from abctl.report.effects import named
from abctl.report.question import Question, question

LAW = law(
    50,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
PROVEN = r"(better|worse|within margin|over margin|not yet|not estimable|-)"
ROW = re.compile(rf"(?:^|\s)(< 0\.0001|[\d.e-]+|-)\s+{PROVEN}$")
NUMBER = r"(?:just (?:above|under) )?[-+]?[\d,.]+(?:e[-+]\d+)?(?:pp|%| ms| s)?"
ANSWER = re.compile(
    rf"(?P<low>…|{NUMBER}) to (?P<high>…|{NUMBER})\)?, "
    rf"(?P<no>not )?all (?P<side>above|under) (?P<limit>{NUMBER})(?:;|$)"
)
UNITS = {"pp": 0.01, "%": 0.01, " ms": 0.001, " s": 1.0}


def blocks(found: Analysis) -> list[tuple[MetricResult, Comparison, str, str]]:
    """Of each metric and treatment its row, and what is said below it."""
    lines = screen(found, wide=False).plain.split("\n")
    lines = lines[next(i for i, line in enumerate(lines) if line.startswith("METRIC")) + 1 :]
    read = []
    for metric in found.metrics:
        for comparison in metric.comparisons:
            label, row = named(found, metric, comparison), lines.pop(0)
            assert row == label or row.startswith(f"{label} ")
            if row == label:
                row = lines.pop(0)
            below = []
            while lines[0].startswith("  ") and not ROW.search(lines[0]):
                below.append(lines.pop(0).strip())
            read.append((metric, comparison, row, " ".join(below)))
    return read


def value(text: str) -> float:
    """The number that is shown; one that is just beside another is a hair off."""
    hair = {"just above": 1e-12, "just under": -1e-12}.get(text[:10], 0.0)
    match = re.fullmatch(r"([-+]?[\d,.]+(?:e[-+]\d+)?)(pp|%| ms| s)?", text[11:] if hair else text)
    assert match, text
    return float(match[1].replace(",", "")) * UNITS.get(match[2] or "", 1.0) + hair


@LAW
@given(found=analyses())
@pytest.mark.parametrize("wide", [False, True])
def test_no_line_is_over_80_columns_and_no_number_loses_its_unit(
    wide: bool, found: Analysis
) -> None:
    for first in (False, True):
        lines = screen(found, wide, weightiest_first=first).plain.split("\n")
        assert max(map(len, lines)) <= 80
        for before, after in pairwise(lines):
            if before and after.strip():
                parted = before[-1].isdigit() and re.match(r"\s+(ms|s|min|h|d)\b", after)
                assert not parted
                assert before.split()[-1] not in ("=", "<")


@LAW
@given(found=analyses())
def test_p_and_proven_are_in_the_row_of_their_metric(found: Analysis) -> None:
    for _, comparison, row, _ in blocks(found):
        match = ROW.search(row)
        assert match, row
        asked = question(comparison)
        if isinstance(asked, Question) and asked.says != "different":
            shown = 0.0 if match[1] == "< 0.0001" else float(match[1])
            assert (match[2] != "not yet") == asked.holds == (shown <= ALPHA)


@LAW
@given(found=analyses())
def test_the_interval_that_is_shown_is_on_the_side_that_p_says(found: Analysis) -> None:
    read = 0
    for metric, comparison, _, below in blocks(found):
        asked = question(comparison)
        if not isinstance(asked, Question) or asked.says == "different" or not asked.decisive:
            continue
        assert below.startswith(f"{metric.role}, ")
        match = ANSWER.search(below)
        assert match, below
        end = match["low" if match["side"] == "above" else "high"]
        over = value(end) - value(match["limit"])
        assert (
            (match["no"] is None)
            == asked.holds
            == (over > 0 if match["side"] == "above" else over < 0)
        )
        read += 1
    assume(read)


@LAW
@given(found=analyses())
def test_what_is_said_of_two_tables_is_said_above_both(found: Analysis) -> None:
    text = screen(found, wide=False).plain
    assert "in total, over all periods (latency: inside the model server):\nVARIANT" in text
    assert "so values differ from the totals:\nMETRIC" in text
