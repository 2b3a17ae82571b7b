"""Changes of the split by one clock, samples by another: nothing is judged by a mixture of them."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.experiment import Design, Experiment, Metric
from abctl.core.ledger import Entry, Ledger
from abctl.core.selector import Selector
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.estimate import Delta

START, CHANGE, NOW = 1_700_000_000.0, 1_700_003_600.0, 1_700_007_200.0
BEFORE, AFTER = (Split(("control", "treatment"), bp) for bp in ((9_000, 1_000), (2_000, 8_000)))
ERRORS = Metric("errors", "primary", "proportion", "errors", "decrease", mde=Delta(0.01, False))


class Counted:
    """A hundred requests a scrape, split as ordered at the very second of the change."""

    place = "here"

    def retention_seconds(self) -> float | None:
        return None

    def now(self) -> float:
        return NOW

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted = Selector.parse(selector)
        times = np.arange(START - 300, NOW, 10.0)
        found = []
        for i, variant in enumerate(BEFORE.names):
            shares = [np.where(times <= START, 0, s.shares_bp[i]) for s in (BEFORE, AFTER)]
            requests = np.where(times <= CHANGE, *shares).cumsum() // 100
            for code, parts in (("2xx", 4), ("5xx", 1)):
                labels = {"variant": variant, "code": code, "bucket": "0"}
                labels |= {"__name__": "ab_requests_total", "instance": variant, "job": "models"}
                inside = (times > start) & (times <= end)
                if wanted.matches(labels):
                    found.append(Series(labels, times[inside], (parts * (requests // 5.0))[inside]))
        return found

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return outline_of(self, selector, edges, since)


@pytest.fixture
def analyze(make_experiment: Callable[..., Experiment]) -> Callable[..., Analysis]:
    """Judges what somebody wrote and now looks at, whose clock is ahead by some seconds."""

    def look(*, ahead: float, clock: Callable[[], float] | None, again: bool = False) -> Analysis:
        made = make_experiment(shares_bp=BEFORE.shares_bp, unit="request", key="")
        design = Design(settle_seconds=20.0)
        experiment = dataclasses.replace(made, metrics=(ERRORS,), design=design, split=BEFORE)
        entries = Ledger(locked_plan(experiment))
        for at, split in ((START, BEFORE), (CHANGE, AFTER)):
            entries = entries.with_entry(Entry(at + ahead, "me", None, split, "", "applied"))
        if again:
            entries = entries.with_entry(Entry(CHANGE + 60, "me", AFTER, AFTER, "", "applied"))
        asked = telemetry(experiment)
        return judge(gather(experiment, entries, Counted(), asked, clock=clock))

    return look


def test_the_same_clock_is_judged(analyze: Callable[..., Analysis]) -> None:
    found = analyze(ahead=0.0, clock=lambda: NOW)
    assert found.verdict.kind == "continue", found.verdict.reasons
    shares = [variant.requests for variant in found.variants]
    assert shares[0] + shares[1] == pytest.approx(100 * 720, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [-600.0, 600.0, -30.0, 30.0])
def test_another_clock_is_told_with_how_far_it_is_off(
    analyze: Callable[..., Analysis], ahead: float
) -> None:
    found = analyze(ahead=ahead, clock=lambda: NOW + ahead)
    assert found.verdict.kind == "invalid"
    (reason, *_) = found.verdict.reasons
    assert reason.code == "clocksApart"
    assert reason.facts["ahead_seconds"] == -ahead


def test_an_answer_that_took_long_is_no_skew(analyze: Callable[..., Analysis]) -> None:
    moments: Iterator[float] = iter((NOW - 40.0, NOW + 20.0))
    found: Any = analyze(ahead=0.0, clock=lambda: next(moments))
    assert found.verdict.kind == "continue", found.verdict.reasons


def test_an_entry_of_the_future_is_told_whatever_the_clock_is_now(
    analyze: Callable[..., Analysis],
) -> None:
    found = analyze(ahead=NOW - CHANGE + 60.0, clock=lambda: NOW)
    assert found.verdict.kind == "invalid"
    assert found.verdict.reasons[0].code == "clocksApart"
    assert found.verdict.reasons[0].facts["ahead_seconds"] < 0


def test_a_shift_by_a_clock_that_was_ahead_makes_nothing_invalid_for_ever(
    analyze: Callable[..., Analysis],
) -> None:
    found = analyze(ahead=7200.0, clock=lambda: NOW, again=True)
    assert found.verdict.kind == "continue", found.verdict.reasons
    assert found.epochs[-1].start == CHANGE + 60 + 20
    # Of what was before nobody knows which split it had, and when.
    assert [epoch.counted for epoch in found.epochs] == [*[False] * (len(found.epochs) - 1), True]
    shares = [variant.requests for variant in found.variants]
    assert shares[0] / sum(shares) == pytest.approx(0.2, abs=0.01)
    # Or was it the second clock that was behind?
    [told] = [note for note in found.notes if note.code == "clockSetBack"]
    assert told.facts["at"] < told.facts["earlier_at"]
