"""Series that are first seen with a value: counted exactly, or told as unknown, and nothing ships.

Both variants are alike: in one scrape as many requests of each fail. The control's counter of
failures was there before; the treatment's is born with them.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from abctl.analysis.judge import judge
from abctl.analysis.meaning import meaning
from abctl.core.analysis import Analysis
from abctl.core.experiment import Assignment, Design, Experiment, Metric, Model, Source, Variant
from abctl.core.ledger import Entry, Ledger
from abctl.core.selector import Selector
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.delta import Delta

START, HOURS, STEP_SECONDS = 1_700_000_000.0, 2.0, 15.0
NAMES = ("control", "treatment")
ONE = "model_infer_request_duration_count"
TIMES = np.arange(START - 300.0, START + 3600 * HOURS + 1, STEP_SECONDS)
OUTAGE = int(np.searchsorted(TIMES, START + 3600.0))
FAILED, RATE = 60, 60


@dataclass(frozen=True)
class Held:
    """A source that holds some series."""

    all: tuple[Series, ...]
    place: str = "a world"

    def now(self) -> float:
        return float(TIMES[-1])

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted = Selector.parse(selector)
        return [
            Series(each.labels, each.times[inside], each.values[inside])
            for each in self.all
            if wanted.matches(each.labels)
            and (inside := (each.times > start) & (each.times <= end)).any()
        ]

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return outline_of(self, selector, edges, since)


def world(n: str, failed: str, *, late_seconds: float = 0.0, worse: int = 0, **labels: str) -> Held:
    """Both variants' counters, by the names of their metrics.

    Args:
        n: the metric of good answers.
        failed: that of failed ones.
        late_seconds: how much later the latter is written.
        worse: how many more of the control's requests fail, all the time.
        labels: what all series have; an instance is the variant's own.
    """
    found = []
    scrape = np.arange(TIMES.size)
    for name in NAMES:
        mine = {**labels, "variant": name, "model": "iris"}
        if "instance" in labels:
            mine["instance"] = f"{name}:1"
        bad = np.where(scrape >= OUTAGE, float(FAILED), 0.0)
        if name == "control":
            bad += 7.0 + worse * scrape
        there = scrape >= (0 if name == "control" else OUTAGE)
        good = {"__name__": n, "code": "200", **mine}
        bads = {"__name__": failed, "code": "500", **mine}
        found.append(Series(good, TIMES, np.cumsum(np.full(TIMES.size, float(RATE)))))
        found.append(Series(bads, TIMES[there] + late_seconds, bad[there]))
    return Held(tuple(found))


def with_a_pod(source: Held, failed: int, started: float | None) -> Held:
    """A pod of the treatment's that is first scraped after the outage.

    Args:
        source: what there is without it.
        failed: how many of its first requests did.
        started: when its process did, in seconds after the outage; None where it does not say it.
    """
    times = TIMES[OUTAGE:]
    of = {"variant": "treatment", "model": "iris", "instance": "treatment:2"}
    answers = {"__name__": ONE, **of}
    more = [
        Series({**answers, "code": "200"}, times, RATE / 2 * np.arange(1.0, times.size + 1)),
        Series({**answers, "code": "500"}, times, np.full(times.size, float(failed))),
    ]
    if started is not None:
        start = np.full(times.size, times[0] + started)
        more.append(Series({"__name__": "process_start_time_seconds", **of}, times, start))
    for each in source.all:
        if each.labels["variant"] == "control":
            more.append(each)
        elif each.labels["code"] == "200":  # half of it goes to the new pod
            before = np.minimum(each.values, each.values[OUTAGE - 1])
            more.append(Series(each.labels, TIMES, before + (each.values - before) / 2))
    return Held(tuple(more))


def analysis(source: Held, successes: str, *accepted_at: float) -> Analysis:
    split = Split(NAMES, (5000, 5000))
    errors = Metric(
        "failures",
        "primary",
        "proportion",
        "failures",
        "decrease",
        mde=Delta(0.005, relative=False),
        selectors={"n": f'{ONE}{{variant="$variant"}}', "successes": successes},
    )
    experiment = Experiment(
        "births",
        "default",
        "istio",
        Assignment("request", "", "", buckets=1),
        tuple(Variant(name, Model("iris", name)) for name in NAMES),
        split,
        (errors,),
        Source("file", {}, "mlserver"),
        Design(min_duration_seconds=1800.0, max_duration_seconds=7 * 86400.0, settle_seconds=30.0),
    )
    plan = locked_plan(experiment, meaning(experiment))
    ledger = Ledger(plan).with_entry(Entry(START, "me", None, split, "", "applied"))
    for at in accepted_at:
        known = Entry(at, "ann", split, split, "a try", "accepted", parts=("bornUnknown",))
        ledger = ledger.with_entry(known)
    return judge(gather(experiment, ledger, source, telemetry(experiment)))


def codes(found: Analysis) -> set[str]:
    return {reason.code for reason in (*found.verdict.reasons, *found.notes)}


def failures(found: Analysis) -> tuple[float, float]:
    effect = found.metrics[0].comparisons[0].effect
    return effect.control, effect.treatment  # type: ignore[union-attr]


OF_ONE = f'{ONE}{{variant="$variant",code="500"}}'
TWO = 'failures_total{variant="$variant"}'
ALIKE = FAILED / (RATE * 3600 * HOURS / STEP_SECONDS)


@pytest.mark.parametrize("labels", [{}, {"instance": "x"}, {"job": "sums"}], ids=str)
def test_what_others_of_its_variant_were_written_without_has_grown_from_zero(
    labels: dict[str, str],
) -> None:
    found = analysis(world(ONE, ONE, **labels), OF_ONE)
    assert failures(found) == pytest.approx((ALIKE, ALIKE), rel=0.02)
    assert found.verdict.kind == "continue"
    assert "bornUnknown" not in codes(found)


def test_a_target_that_was_scraped_before_had_no_such_series() -> None:
    found = analysis(world(ONE, "failures_total", instance="x"), TWO)
    assert failures(found) == pytest.approx((ALIKE, ALIKE), rel=0.02)
    assert found.verdict.kind == "continue"
    assert "bornUnknown" not in codes(found)


def test_a_zero_at_the_moment_of_creation_tells_it_as_well() -> None:
    """As Prometheus writes it where it is told to ingest times of creation."""
    source = world(ONE, "failures_total")
    born = Held(
        tuple(
            Series(
                each.labels, np.append(each.times[0] - 5.0, each.times), np.append(0.0, each.values)
            )
            if each.times[0] > START
            else each
            for each in source.all
        )
    )
    found = analysis(born, TWO)
    assert failures(found) == pytest.approx((ALIKE, ALIKE), rel=0.02)
    assert "bornUnknown" not in codes(found)


@pytest.mark.parametrize(
    ("name", "selector", "late_seconds"),
    [("failures_total", TWO, 0.0), (ONE, OF_ONE, 3.0)],
    ids=["of another name and code", "written at other moments"],
)
def test_what_nobody_knows_the_age_of_is_told_and_nothing_ships(
    name: str, selector: str, late_seconds: float
) -> None:
    found = analysis(world(ONE, name, late_seconds=late_seconds), selector)
    assert failures(found)[1] == 0.0
    assert found.metrics[0].comparisons[0].proven("better")
    assert found.verdict.kind == "continue"
    [why] = [r for r in found.verdict.reasons if r.code == "bornUnknown"]
    assert why.facts == {
        "metric": "failures",
        "variant": "treatment",
        "lost_count": FAILED,
        "selector": selector.replace("$variant", "treatment"),
    }


@pytest.mark.parametrize(
    ("started", "counted"), [(-5.0, True), (-900.0, True), (-7200.0, False), (None, False)]
)
def test_a_new_process_counts_from_its_start_where_it_says_that(
    started: float | None, *, counted: bool
) -> None:
    found = analysis(with_a_pod(world(ONE, ONE, instance="x"), FAILED, started), OF_ONE)
    assert (failures(found)[1] > 0.0) is counted
    assert found.verdict.kind == "continue"
    assert ("bornUnknown" in codes(found)) is not counted


def test_a_new_process_that_is_as_the_others_keeps_nobody_from_shipping() -> None:
    """What its first scrape held is left out, of good answers and of failures alike."""
    source = with_a_pod(world(ONE, ONE, worse=2, instance="x"), failed=0, started=None)
    found = analysis(source, OF_ONE)
    assert found.verdict.kind == "ship"
    assert "bornUnknown" not in codes(found)


@pytest.mark.parametrize(
    ("after_seconds", "verdict"), [(-60.0, "continue"), (60.0, "ship")], ids=["before", "after"]
)
def test_what_was_seen_before_somebody_accepted_it_keeps_nobody_from_shipping(
    after_seconds: float, verdict: str
) -> None:
    at = float(TIMES[OUTAGE]) + after_seconds
    found = analysis(world(ONE, "failures_total"), TWO, at)
    assert found.verdict.kind == verdict
    # It stays known, with who accepted it; nothing that was counted is lost.
    assert {"bornUnknown", "doubtAccepted"} <= codes(found)
    [told] = [note for note in found.notes if note.code == "doubtAccepted"]
    assert (told.facts["accepted"], told.facts["actor"]) == ("bornUnknown", "ann")
    assert found.started == START
    assert failures(found)[0] == pytest.approx(ALIKE, rel=0.02)
