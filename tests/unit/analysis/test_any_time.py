"""Whenever anyone looks, there is an answer: also in the seconds in which nothing counts yet."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from laws import law
from numpy.typing import NDArray

from abctl.analysis import plan_inputs
from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.experiment import Design, Experiment, Metric
from abctl.core.ledger import Entry, Ledger
from abctl.core.selector import Selector
from abctl.core.split import Split
from abctl.errors import SourceError
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.session.status import observed
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.delta import Delta

NAMES = ("control", "treatment")
EVEN, MORE = Split(NAMES, (5_000, 5_000)), Split(NAMES, (3_000, 7_000))
STARTED = 1_700_000_000.0
# Both variants count ten good requests a second in each of two buckets.
COUNTED = {
    "ab_requests_total": 10.0,
    "ab_outcome_count_total": 10.0,
    "ab_outcome_sum_total": 9.0,
    "ab_outcome_sumsq_total": 9.0,
}
LABELS = {
    "ab_requests_total": {"code": "2xx"},
    "ab_outcome_count_total": {"outcome": "accuracy"},
    "ab_outcome_sum_total": {"outcome": "accuracy", "sign": "positive"},
    "ab_outcome_sumsq_total": {"outcome": "accuracy"},
}


@dataclass
class Steady:
    """Counters that grow evenly, scraped every `interval` seconds from `first` on."""

    until: float
    interval: float
    first: float
    place: str = "here"
    grown_seconds: float = 9e6  # for how long they had grown at the start; negative: they wait

    def now(self) -> float:
        return self.until

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted = Selector.parse(selector)
        number = np.arange(math.ceil((end - self.first) / self.interval) + 1)
        times = np.round(self.first + self.interval * number, 3)
        times = times[(times > start) & (times <= min(end, self.until))]
        return [
            Series(labels, times, speed * np.maximum(0.0, times - STARTED + self.grown_seconds))
            for name, speed in COUNTED.items()
            for variant in NAMES
            for bucket in "01"
            if wanted.matches(labels := _labels(name, variant, bucket))
            if len(times)
        ]

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        return outline_of(self, selector, edges, since)


def _labels(name: str, variant: str, bucket: str) -> dict[str, str]:
    own = {"__name__": name, "variant": variant, "bucket": bucket, **LABELS[name]}
    return own | {"job": "models", "instance": f"{variant}:8082"}


def ledger(experiment: Experiment, changes: list[float]) -> Ledger:
    found = Ledger(locked_plan(experiment))
    for i, at in enumerate([0.0, *np.cumsum(changes).tolist()]):
        before, after = (MORE, EVEN) if i % 2 == 0 else (EVEN, MORE)
        for phase in ("intent", "applied"):
            entry = Entry(STARTED + at, "me", before if i else None, after, "", phase)
            found = found.with_entry(entry)
    return found


@pytest.fixture(scope="module")
def ask(make_experiment: Callable[..., Experiment]) -> Callable[[float, str], Experiment]:
    def make(settle: float, test: str) -> Experiment:
        mde, margin = Delta(0.02, False), Delta(0.005, False)
        return replace(
            make_experiment(shares_bp=EVEN.shares_bp, buckets=2),
            design=Design(
                test=test,
                settle_seconds=settle,
                min_duration_seconds=max(60.0, settle),
                max_duration_seconds=max(300.0, settle),
            ),
            metrics=(
                Metric("accuracy", "primary", "proportion", "accuracy", "increase", mde=mde),
                Metric("errors", "guardrail", "proportion", "errors", "decrease", margin=margin),
            ),
        )

    return make


@pytest.mark.slow
@law(50)
@given(
    since=st.one_of(st.floats(-1.0, 5.0), st.floats(-60.0, 60.0)),
    interval=st.sampled_from([0.5, 1.0, 5.0, 15.0, 60.0]),
    late=st.floats(-100.0, 60.0),
    settle=st.sampled_from([0.0, 1.0, 60.0, 120.0]),
    changes=st.lists(st.floats(0.0, 300.0), max_size=3),
    test=st.sampled_from(["sequential", "fixed"]),
)
# A fresh stack, a second after its settle time, and two shifts right after another.
@example(since=1.5, interval=1.0, late=-5.0, settle=60.0, changes=[], test="sequential")
@example(since=1.5, interval=1.0, late=-5.0, settle=60.0, changes=[60.0], test="fixed")
@example(since=9.0, interval=1.0, late=-5.0, settle=1.0, changes=[60.0, 0.5], test="sequential")
def test_there_is_an_answer_at_any_time(
    ask: Callable[[float, str], Experiment],
    *,
    since: float,
    interval: float,
    late: float,
    settle: float,
    changes: list[float],
    test: str,
) -> None:
    experiment = ask(settle, test)
    entries, asked = ledger(experiment, changes), telemetry(experiment)
    # In intervals since the last change has settled, or will have.
    now = STARTED + sum(changes) + settle + since * interval
    source = Steady(round(now, 3), interval, STARTED + late)
    counts = observed(experiment, entries, source, asked, source.now())
    if counts is not None:
        assert all(count >= 0 for count in counts.values())
    try:
        found = judge(gather(experiment, entries, source, asked))
    except SourceError as error:
        # Nothing was scraped yet of what counts.
        assert "has no sample of" in error.message  # noqa: PT017
        return
    assert found.verdict.reasons
    for value in (
        lambda: plan_inputs.units_per_day(found, experiment.metrics[0]),
        lambda: plan_inputs.baseline(found, "accuracy"),
    ):
        try:
            assert value() > 0
        except SourceError as error:
            assert error.hint  # noqa: PT017


def test_a_second_after_settling_no_poll_is_over_and_nothing_was_observed(
    ask: Callable[[float, str], Experiment],
) -> None:
    experiment = ask(60.0, "sequential")
    entries, asked = ledger(experiment, []), telemetry(experiment)

    def at(seconds: float) -> object:
        source = Steady(STARTED + seconds, 1.0, STARTED - 5.0)
        return observed(experiment, entries, source, asked, source.now())

    assert [at(seconds) for seconds in (59.9, 60.5, 61.5, 62.5)] == [None] * 4
    assert at(64.0) is not None


@pytest.mark.parametrize(
    ("first", "settle", "code"),
    [
        (-5.0, 60.0, "beforeFirstPeriod"),
        (10.0, 60.0, "beforeFirstPeriodUnknown"),  # counters of an unknown age
        (-5.0, 600.0, "beforeFirstPeriodUnknown"),  # so far back nothing is read
    ],
)
def test_what_came_before_the_first_period_that_counts_is_told(
    ask: Callable[[float, str], Experiment], first: float, settle: float, code: str
) -> None:
    experiment = ask(settle, "sequential")
    source = Steady(STARTED + settle + 60.0, 1.0, STARTED + first)
    found = judge(gather(experiment, ledger(experiment, []), source, telemetry(experiment)))
    told = [note for note in found.notes if note.code.startswith("beforeFirst")]
    assert [(note.code, note.facts["variant"]) for note in told] == [(code, n) for n in NAMES]
    if code == "beforeFirstPeriod":
        # Ten a second in each of two buckets, from the start to the first period.
        assert [note.facts["requests_count"] for note in told] == [20 * settle] * 2


def test_counters_that_were_zero_when_first_scraped_missed_nothing(
    ask: Callable[[float, str], Experiment],
) -> None:
    experiment = ask(60.0, "sequential")
    source = Steady(STARTED + 120.0, 1.0, STARTED + 10.0, grown_seconds=-20.0)
    found = judge(gather(experiment, ledger(experiment, []), source, telemetry(experiment)))
    told = [note for note in found.notes if note.code.startswith("beforeFirst")]
    assert [note.facts["requests_count"] for note in told] == [20 * 40.0] * 2


def test_the_present_split_and_from_when_on_it_counts_are_told_before_it_does(
    ask: Callable[[float, str], Experiment],
) -> None:
    experiment = ask(60.0, "sequential")
    entries, asked = ledger(experiment, [200.0]), telemetry(experiment)

    def at(seconds: float) -> Analysis:
        source = Steady(STARTED + seconds, 1.0, STARTED - 5.0)
        return judge(gather(experiment, entries, source, asked))

    for seconds, periods in ((210.0, [EVEN]), (270.0, [EVEN, MORE])):
        found = at(seconds)
        assert [epoch.split for epoch in found.epochs] == periods
        assert (found.current_split, found.counts_from) == (MORE, STARTED + 260.0)
    changing = entries.with_entry(Entry(STARTED + 300.0, "me", MORE, EVEN, "", "intent"))
    assert (changing.counts_from(60.0), changing.changing_since) == (None, STARTED + 300.0)
    assert (entries.counts_from(60.0), entries.changing_since) == (STARTED + 260.0, STARTED + 200.0)
