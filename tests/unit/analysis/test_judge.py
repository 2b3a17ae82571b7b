"""Judgements of made-up counters whose truth is known."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from held import held
from numpy.typing import NDArray

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.experiment import Design, Experiment, Metric, Model, Shadow, Variant
from abctl.core.ledger import Entry, Ledger
from abctl.core.polls import GAP_INTERVALS
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.errors import SourceError
from abctl.forms.document import document
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Remark
from abctl.stats.srm import SrmResult

START = 1_700_000_000.0
SCRAPE_SECONDS = 15.0
BUCKETS = 16
CONTROL, TREATMENT = "control", "treatment"
METRICS = (
    Metric("accuracy", "primary", "proportion", "accuracy", "increase", mde=Delta(0.02, False)),
    Metric("errors", "guardrail", "proportion", "errors", "decrease", margin=Delta(0.005, False)),
)
SPLIT_OF = {
    share: Split((CONTROL, TREATMENT), (round(10_000 * (1 - share)), round(10_000 * share)))
    for share in (0.1, 0.2, 0.4, 0.5)
}
DESIGN = Design(min_duration_seconds=600, max_duration_seconds=7200, settle_seconds=30)


@dataclass
class World:
    """Counters of model servers, one process a variant, scraped every 15 seconds.

    Each step adds requests to the buckets of both variants as the split of the time says.
    """

    seed: int = 1
    truth: Mapping[str, float] = field(default_factory=lambda: {CONTROL: 0.8, TREATMENT: 0.8})
    errors: Mapping[str, float] = field(default_factory=dict)
    requests: int = 400
    shares: dict[float, float] = field(default_factory=lambda: {START: 0.5})
    seconds: float = 1800.0
    silent: tuple[str, ...] = ()
    restart: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    place: str = "a made-up world"

    def now(self) -> float:
        return START + self.seconds

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        return held(self.all, selector, start, end)

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        return outline_of(self, selector, edges, since)

    @property
    def all(self) -> list[Series]:
        if not hasattr(self, "_all"):
            self._all = self._grow()
        return self._all

    def _grow(self) -> list[Series]:
        rng = np.random.default_rng(self.seed)
        times = np.arange(START - 60, START + self.seconds + 1, SCRAPE_SECONDS)
        found = []
        for variant in (CONTROL, TREATMENT):
            if variant in self.silent:
                continue
            here = {"job": "models", "instance": f"{variant}:8082", **self.labels}
            n = np.zeros((len(times), BUCKETS))
            for i, at in enumerate(times[1:], 1):
                share = [s for t, s in self.shares.items() if t < at]
                mine = (
                    share[-1] if share and variant == TREATMENT else 1 - share[-1] if share else 0
                )
                n[i] = rng.multinomial(rng.poisson(self.requests * mine), [1 / BUCKETS] * BUCKETS)
            bad = rng.binomial(n.astype(int), self.errors.get(variant, 0.001))
            good = n - bad
            hits = rng.binomial(good.astype(int), self.truth[variant])
            slow = rng.binomial(good.astype(int).sum(axis=1), 0.05)

            def add(name: str, each: NDArray[Any], **more: str) -> None:
                labels = {"__name__": name, "variant": variant, **here, **more}  # noqa: B023
                total = np.cumsum(each)
                if self.restart:
                    total = total - np.where(
                        times > self.restart, total[times <= self.restart][-1], 0
                    )
                found.append(Series(labels, times, total.astype(float)))

            for b in range(BUCKETS):
                bucket = str(b)
                add("ab_requests_total", good[:, b], bucket=bucket, code="2xx")
                add("ab_requests_total", bad[:, b], bucket=bucket, code="5xx")
                add("ab_requests_total", n[:, b] * 0, bucket=bucket, code="4xx")
                add("ab_outcome_count_total", good[:, b], bucket=bucket, outcome="accuracy")
                for sign, each in (("positive", hits[:, b]), ("negative", hits[:, b] * 0)):
                    add("ab_outcome_sum_total", each, bucket=bucket, outcome="accuracy", sign=sign)
                add("ab_outcome_sumsq_total", hits[:, b], bucket=bucket, outcome="accuracy")
            add("ab_requests_total", np.full(len(times), 3), bucket="none", code="2xx")
            whole = good.sum(axis=1)
            for le, each in (("0.001", whole - slow), ("0.01", whole), ("+Inf", whole)):
                add("ab_request_duration_seconds_bucket", each, le=le)
            add("ab_request_duration_seconds_count", whole)
            add("ab_request_duration_seconds_sum", whole * 0.001)
            add("ab_request_duration_seconds_sumsq_total", whole * 1.5e-6)
            began = np.where(times > (self.restart or np.inf), self.restart or 0, START - 100)
            found.append(
                Series(
                    {"__name__": "process_start_time_seconds", **here}, times, began.astype(float)
                )
            )
        return found


@pytest.fixture
def ask(make_experiment: Callable[..., Experiment]) -> Callable[..., Experiment]:
    def make(unit: str = "user", test: str = "sequential", **changes: Any) -> Experiment:
        made = make_experiment(shares_bp=(5000, 5000), unit=unit, buckets=BUCKETS)
        fields = {"metrics": METRICS, "design": dataclasses.replace(DESIGN, test=test)} | changes
        return dataclasses.replace(made, **fields)

    return make


def ledger(experiment: Experiment, shares: Mapping[float, float] | None = None) -> Ledger:
    found = Ledger(locked_plan(experiment))
    for at, share in (shares or {START: 0.5}).items():
        found = found.with_entry(Entry(at, "me", None, SPLIT_OF[share], "test", "applied"))
    return found


def run(experiment: Experiment, world: World) -> Analysis:
    found = judge(
        gather(experiment, ledger(experiment, world.shares), world, telemetry(experiment))
    )
    json.dumps(document(found), allow_nan=False)
    return found


def codes(found: Analysis) -> list[str]:
    return [reason.code for reason in found.verdict.reasons]


def notes(found: Analysis, code: str) -> dict[str, Mapping[str, Any]]:
    """The facts of every note of a code, by variant."""
    return {note.facts["variant"]: note.facts for note in found.notes if note.code == code}


def counted(world: World, name: str, lo: float, hi: float, **labels: str) -> float:
    """Increments within (lo, hi] by brute force over the made-up samples."""
    total = 0.0
    for s in world.all:
        if s.labels["__name__"] == name and labels.items() <= s.labels.items():
            inside = s.values[(s.times >= lo) & (s.times <= hi)]
            total += inside[-1] - inside[0]
    return total


@pytest.mark.parametrize("unit", ["user", "request"])
def test_a_better_treatment_ships(ask: Callable[..., Experiment], unit: str) -> None:
    world = World(truth={CONTROL: 0.8, TREATMENT: 0.84})
    found = run(ask(unit), world)
    assert found.verdict.kind == "ship", found.verdict.reasons
    assert found.verdict.treatment == TREATMENT
    better, safe = found.verdict.reasons
    assert (better.code, better.facts["metric"]) == ("betterProven", "accuracy")
    assert better.facts["effect"] > 0
    assert (safe.code, safe.facts["metric"]) == ("withinMarginProven", "errors")
    assert (safe.facts["margin"], safe.facts["margin_is_relative"]) == (0.005, False)
    assert found.metrics[0].method == (
        "ratio_sequence" if unit == "user" else "proportion_sequence"
    )


def test_counts_are_those_of_the_world_without_the_settling_time(
    ask: Callable[..., Experiment],
) -> None:
    world = World(shares={START: 0.1, START + 900: 0.5})
    found = run(ask(), world)
    for variant, name in zip(found.variants, (CONTROL, TREATMENT), strict=True):
        expected = sum(
            counted(world, "ab_requests_total", lo, hi, variant=name)
            - counted(world, "ab_requests_total", lo, hi, variant=name, bucket="none")
            # The last poll of half a minute is over only once a later scrape could be seen.
            for lo, hi in ((START + 30, START + 900), (START + 930, START + 1770))
        )
        assert variant.requests == expected
        assert variant.outside == 3 * (870 + 840) / SCRAPE_SECONDS
        effect = found.metrics[0].comparisons[0].effect
        assert isinstance(effect, Estimate)
        assert effect.epochs == (0, 1)
    left_out = notes(found, "aroundChanges")
    for variant in found.variants:
        assert variant.coverage
        assert left_out[variant.name]["requests_count"] == variant.coverage.left_out > 0
    assert found.metrics[0].polls > 40


@pytest.mark.slow
def test_what_one_look_has_proven_the_next_does_not_take_back(
    ask: Callable[..., Experiment],
) -> None:
    experiment, least = ask(), dict[str, float]()
    world = World(seed=5, truth={CONTROL: 0.8, TREATMENT: 0.79}, seconds=400)
    assert world.all
    for world.seconds in range(60, 400, 13):
        for metric in run(experiment, world).metrics:
            result = metric.comparisons[0].effect
            if isinstance(result, Estimate):
                assert result.p <= least.get(metric.name, 1.0)
                least[metric.name] = result.p
    assert least["accuracy"] < 1


def test_more_errors_than_the_margin_stop_it_and_the_guardrail_is_named(
    ask: Callable[..., Experiment],
) -> None:
    world = World(truth={CONTROL: 0.8, TREATMENT: 0.9}, errors={TREATMENT: 0.03})
    found = run(ask(), world)
    assert found.verdict.kind == "stop"
    harm = found.verdict.reasons[0]
    assert (harm.code, harm.facts["metric"], harm.facts["margin"]) == (
        "harmProven",
        "errors",
        0.005,
    )


def test_a_worse_primary_stops_it(ask: Callable[..., Experiment]) -> None:
    found = run(ask(), World(truth={CONTROL: 0.8, TREATMENT: 0.7}))
    assert found.verdict.kind == "stop"
    harm = found.verdict.reasons[0]
    assert (harm.code, harm.facts["metric"], harm.facts["margin"]) == (
        "harmProven",
        "accuracy",
        None,
    )
    assert harm.facts["effect"] < 0


@pytest.mark.slow
def test_no_difference_goes_on_and_is_given_up_in_the_end(ask: Callable[..., Experiment]) -> None:
    found = run(ask(), World())
    assert found.verdict.kind == "continue"
    assert codes(found)[0] == "notYetProven"
    late = run(ask(design=dataclasses.replace(DESIGN, max_duration_seconds=1200)), World())
    assert late.verdict.kind == "stop"
    assert late.verdict.reasons[0] == Reason("maxDurationOver", {"max_duration_seconds": 1200})


def test_what_is_proven_early_waits_for_the_shortest_duration(
    ask: Callable[..., Experiment],
) -> None:
    world = World(truth={CONTROL: 0.7, TREATMENT: 0.9})
    found = run(ask(design=dataclasses.replace(DESIGN, min_duration_seconds=3600)), world)
    assert found.verdict.kind == "continue"
    left = {"left_seconds": 1800.0, "min_duration_seconds": 3600}
    assert found.verdict.reasons[-1] == Reason("minDuration", left)


@pytest.mark.slow
def test_a_fixed_test_decides_nothing_before_its_end(ask: Callable[..., Experiment]) -> None:
    world = World(truth={CONTROL: 0.7, TREATMENT: 0.9}, errors={CONTROL: 0.0, TREATMENT: 0.0})
    early = dataclasses.replace(DESIGN, test="fixed", min_duration_seconds=3600)
    assert run(ask(design=early), world).verdict.kind == "continue"
    assert run(ask(test="fixed"), world).verdict.kind == "ship"


@pytest.mark.slow
def test_a_fixed_test_gives_the_same_answer_whenever_it_is_looked_at_again(
    ask: Callable[..., Experiment],
) -> None:
    """Not even a ramp, a cold start or the end of all scrapes after its end changes it."""
    experiment = ask("request", test="fixed")
    world = World(
        truth={CONTROL: 0.8, TREATMENT: 0.82}, shares={START: 0.5, START + 1500: 0.2}, seconds=3800
    )
    assert world.all
    shares, ends, answers = world.shares, set[str](), []
    for world.seconds in (605, 700, 1000, 1400, 1600, 2500, 3800):
        world.shares = {at: share for at, share in shares.items() if at < world.now()}
        found = run(experiment, world)
        if found.verdict.kind == "continue":
            assert not answers
            assert codes(found)[-1] == "beforePlannedEnd"
            continue
        assert found.notes[0].code == "oneLookTaken"
        ends.add(found.notes[0].facts["at"])
        answers.append((found.verdict, found.metrics, found.variants, found.srm, found.epochs))
    assert len(ends) == 1
    assert len(answers) > 3
    assert all(answer == answers[0] for answer in answers)
    # 5,000 or so in each variant are needed: the shortest duration has them.
    assert answers[0][2][1].requests < 700 / SCRAPE_SECONDS * 220


@pytest.mark.slow
def test_a_fixed_test_lasts_until_the_size_planned_at_its_shortest_duration(
    ask: Callable[..., Experiment],
) -> None:
    """The size is that of a z-test by the variance of the time, in the smaller variant."""
    experiment = ask("request", test="fixed", metrics=METRICS[:1])
    world = World(requests=80, seconds=3800)
    found = run(experiment, world)
    smaller = min(v.requests or 0.0 for v in found.variants)
    needed = (1.6449 + 0.8416) ** 2 * 2 * 0.8 * 0.2 / 0.02**2
    a_poll = 80 / 2 * 30 / SCRAPE_SECONDS
    assert needed * 0.9 < smaller < needed * 1.1 + a_poll
    world.seconds = 1000
    early = run(experiment, world)
    assert early.verdict.kind == "continue"
    assert codes(early)[0] == "sizeNotReached"


@pytest.mark.slow
@pytest.mark.parametrize(("least", "most"), [(600, 1200), (1200, 1200)])
def test_a_fixed_test_ends_with_the_longest_duration_whatever_its_size(
    ask: Callable[..., Experiment], least: float, most: float
) -> None:
    design = dataclasses.replace(
        DESIGN, test="fixed", min_duration_seconds=least, max_duration_seconds=most
    )
    world, kinds = World(requests=20, seconds=3000), []
    # At 1205 a scrape of before may still arrive.
    for seconds in (1190, 1205, 1230, 3000):
        world.seconds = seconds
        found = run(ask("request", design=design), world)
        kinds.append(found.verdict.kind)
        if seconds > most + SCRAPE_SECONDS:
            assert codes(found)[0] == "oneLookOver"
            # The last poll of half a minute that is over by then.
            assert START + most - 30 < found.epochs[-1].end <= START + most
    assert kinds == ["continue", "continue", "stop", "stop"]


@pytest.mark.slow
def test_a_split_that_is_not_the_ordered_one_is_invalid(ask: Callable[..., Experiment]) -> None:
    for unit in ("user", "request"):
        experiment = ask(unit)
        world = World(shares={START: 0.4})
        found = judge(
            gather(experiment, ledger(experiment, {START: 0.5}), world, telemetry(experiment))
        )
        assert found.verdict.kind == "invalid"
        (reason,) = found.verdict.reasons
        assert reason.code == "splitMismatch"
        assert reason.facts["expected_count"] == reason.facts["total_count"] / 2


def test_a_plan_changed_after_the_start_is_invalid(ask: Callable[..., Experiment]) -> None:
    before = ask()
    after = ask(metrics=METRICS[:1])
    found = judge(gather(after, ledger(before), World(), telemetry(after)))
    assert found.verdict.kind == "invalid"
    assert found.verdict.reasons[0] == Reason("planChanged", {"parts": ["metrics"]})


def test_stale_evidence_is_invalid(ask: Callable[..., Experiment]) -> None:
    class Stopped(World):
        def now(self) -> float:
            return START + self.seconds + 600

    found = run(ask(), Stopped())
    assert found.verdict.kind == "invalid"
    assert found.verdict.reasons[0].code == "stale"
    assert found.verdict.reasons[0].facts["stale_seconds"] == pytest.approx(600, abs=SCRAPE_SECONDS)


def test_a_variant_without_counters_is_invalid_and_never_a_zero(
    ask: Callable[..., Experiment],
) -> None:
    found = run(ask(), World(silent=(TREATMENT,)))
    assert found.verdict.kind == "invalid"
    assert found.verdict.reasons[0] == Reason("noRequestCounters", {"variant": TREATMENT})
    assert found.variants[1].requests is None
    effect = found.metrics[0].comparisons[0].effect
    assert isinstance(effect, NotEstimable)
    assert effect.why.code == "noSeries"
    assert effect.why.facts["selector"].startswith("ab_outcome_count_total")


def test_an_empty_source_is_an_error(ask: Callable[..., Experiment]) -> None:
    with pytest.raises(SourceError, match="has no sample of ab_requests_total"):
        run(ask(), World(silent=(CONTROL, TREATMENT)))


def test_right_after_a_change_nothing_counts_yet(ask: Callable[..., Experiment]) -> None:
    found = run(ask(), World(seconds=20))
    assert found.verdict.kind == "continue"
    reason = found.verdict.reasons[0]
    assert (reason.code, reason.facts["metric"]) == ("notYetEstimable", "accuracy")


@pytest.mark.slow
def test_a_restart_loses_nothing_that_was_scraped(ask: Callable[..., Experiment]) -> None:
    whole, broken = World(), World(restart=START + 600)
    one, other = run(ask(), whole), run(ask(), broken)
    assert [v.requests for v in one.variants] == [v.requests for v in other.variants]
    assert one.metrics[0].comparisons == other.metrics[0].comparisons
    assert other.variants[0].coverage
    assert other.variants[0].coverage.restarts == 1
    assert notes(other, "restarts")[CONTROL]["restarts_count"] == 1


@pytest.mark.slow
def test_what_a_server_that_ended_counted_stays_and_that_it_ended_is_said(
    ask: Callable[..., Experiment],
) -> None:
    whole, replaced = World(), World(restart=(end := START + 600))
    replaced._all = [
        Series(s.labels | {"instance": f"{s.labels['instance']}-{i}"}, s.times[at], s.values[at])
        for s in replaced.all
        for i, at in enumerate((s.times <= end, s.times > end))
    ]
    one, other = run(ask(), whole), run(ask(), replaced)
    assert [v.requests for v in one.variants] == [v.requests for v in other.variants]
    assert one.metrics[0].comparisons == other.metrics[0].comparisons
    assert one.variants[0].coverage
    assert other.variants[0].coverage
    assert (one.variants[0].coverage.gone, other.variants[0].coverage.gone) == (0, 1)
    assert notes(one, "targetsGone") == {}
    gone = notes(other, "targetsGone")[CONTROL]
    assert (gone["gone_count"], gone["targets_count"]) == (1, 2)


def test_the_same_server_scraped_twice_is_an_error(ask: Callable[..., Experiment]) -> None:
    world, twin = World(), World(labels={"job": "again"})
    world.all.extend(twin.all)
    found = run(ask(), world)
    assert found.verdict.kind == "invalid"
    assert {r.code for r in found.verdict.reasons} == {"requestsUncountable"}
    assert {r.facts["cause"] for r in found.verdict.reasons} == {"scrapedTwice"}
    assert "control:8082 is scraped twice (job 'models', 'again'" in found.verdict.reasons[0].text
    assert found.variants[0].requests is None


def test_classical_readings_stand_beside_and_say_that_they_do_not_decide(
    ask: Callable[..., Experiment],
) -> None:
    latency = Metric("p95", "secondary", "quantile", "latency", "decrease", quantile=0.95)
    found = run(ask(metrics=(*METRICS, latency)), World())
    accuracy, _, slow = found.metrics
    readings = accuracy.comparisons[0].readings
    assert [r.result.method for r in readings] == ["ratio", "proportion", "chi_squared"]
    assert isinstance(readings[2].result, Estimate)
    assert readings[2].result.notes[0].code == "chiSquared"
    once, too_sure = Reason("oneLookOnly"), Reason("tooSure")
    both = (once, too_sure)
    assert [reading.caveats for reading in readings] == [(once,), both, both]
    assert [r.result.method for r in slow.comparisons[0].readings] == ["quantile", "welch"]
    assert slow.comparisons[0].claims == ()
    assert found.variants[0].latency_p50_seconds == pytest.approx(0.0005, rel=0.1)


def test_an_error_that_only_one_variant_has_is_a_zero_in_the_other(
    ask: Callable[..., Experiment],
) -> None:
    world = World(errors={CONTROL: 0.0, TREATMENT: 0.002})
    world._all = [
        s
        for s in world.all
        if not (
            s.labels["variant" if "variant" in s.labels else "job"] == CONTROL
            and s.labels.get("code") == "5xx"
        )
    ]
    found = run(ask(), world)
    effect = found.metrics[1].comparisons[0].effect
    assert isinstance(effect, Estimate)
    assert effect.control == 0
    assert found.variants[0].error_ratio == 0.0
    assert found.variants[0].values["errors"] == 0.0


@pytest.mark.slow
def test_without_any_error_users_are_counted_not_requests(ask: Callable[..., Experiment]) -> None:
    world = World(errors={CONTROL: 0.0, TREATMENT: 0.0}, requests=4000)
    clustered, simple = (
        run(ask(unit), world).metrics[1].comparisons[0] for unit in ("user", "request")
    )
    for found in (clustered, simple):
        assert found.proven("non-inferior")
        assert not found.proven("harm")
    safe = clustered.claim("non-inferior")
    assert safe
    assert isinstance(safe.result, Estimate)
    assert safe.result.notes[-1].code == "fewEvents"
    assert safe.result.alpha == 0.05
    assert simple.claim("non-inferior").result.log_p < safe.result.log_p  # type: ignore[union-attr]
    few = run(ask(), World(errors={CONTROL: 0.0, TREATMENT: 0.0}, requests=20, seconds=300))
    assert not few.metrics[1].comparisons[0].proven("non-inferior")


@pytest.mark.slow
def test_it_says_how_much_is_still_needed(ask: Callable[..., Experiment]) -> None:
    found = run(ask(), World(seed=2, requests=100, seconds=900))
    assert found.verdict.kind == "continue"
    needed = next(reason for reason in found.verdict.reasons if reason.code == "sizeNotReached")
    assert needed.facts["needed_count"] > needed.facts["reached_count"] > 0
    pace = needed.facts["reached_count"] / found.elapsed_seconds
    missing = needed.facts["needed_count"] - needed.facts["reached_count"]
    assert needed.facts["expected_seconds"] == pytest.approx(missing / pace)
    few = run(ask("request"), World(seconds=300, requests=100, shares={START: 0.1}))
    sizes = [r.facts["reached_count"] for r in few.verdict.reasons if r.code == "sizeNotReached"]
    effect = few.metrics[0].comparisons[0].effect
    assert isinstance(effect, Estimate)
    assert sizes == [effect.n[1]]
    assert effect.n[1] < effect.n[0] / 5


def test_two_primaries_are_corrected_for_one_another(ask: Callable[..., Experiment]) -> None:
    twice = (METRICS[0], dataclasses.replace(METRICS[0], name="again"))
    found = run(ask(metrics=twice), World(truth={CONTROL: 0.8, TREATMENT: 0.82}))
    for metric in found.metrics:
        claim = metric.comparisons[0].claim("better")
        assert claim
        assert isinstance(claim.result, Estimate)
        assert claim.p_adjusted == pytest.approx(min(1, 2 * claim.result.p))


def test_a_primary_that_is_not_estimable_yet_still_counts_as_one(
    ask: Callable[..., Experiment],
) -> None:
    unknown = dataclasses.replace(METRICS[0], name="clicks", of="clicks")
    found = run(ask(metrics=(METRICS[0], unknown)), World(truth={CONTROL: 0.8, TREATMENT: 0.82}))
    known, missing = (metric.comparisons[0].claim("better") for metric in found.metrics)
    assert known
    assert isinstance(known.result, Estimate)
    assert known.p_adjusted == pytest.approx(min(1, 2 * known.result.p))
    assert missing
    assert isinstance(missing.result, NotEstimable)
    assert missing.p_adjusted is None


def test_an_epoch_that_ended_unnoticed_is_left_out(ask: Callable[..., Experiment]) -> None:
    experiment, world = ask(), World(shares={START: 0.5, START + 900: 0.2})
    entries = ledger(experiment)
    noticed = Entry(START + 1000, "unknown", None, SPLIT_OF[0.2], "somebody else", "observed")
    found = judge(gather(experiment, entries.with_entry(noticed), world, telemetry(experiment)))
    assert [epoch.counted for epoch in found.epochs] == [False, True]
    assert found.verdict.kind != "invalid"
    uncertain = {"epoch": 0, "split": {CONTROL: 0.5, TREATMENT: 0.5}}
    assert Reason("epochUncertain", uncertain) in found.notes
    effect = found.metrics[0].comparisons[0].effect
    assert isinstance(effect, Estimate)
    assert effect.epochs == (1,)


@pytest.mark.slow
def test_series_without_buckets_tell_nothing_of_users(ask: Callable[..., Experiment]) -> None:
    own = dataclasses.replace(
        METRICS[0],
        selectors={
            "n": 'ab_request_duration_seconds_count{variant="$variant"}',
            "successes": 'ab_request_duration_seconds_bucket{variant="$variant",le="0.001"}',
        },
    )
    by_user, by_request = (
        run(ask(unit, metrics=(own,)), World()).metrics[0].comparisons[0].effect
        for unit in ("user", "request")
    )
    assert isinstance(by_user, NotEstimable)
    assert (by_user.why.code, by_user.why.facts["label"]) == ("noBucketLabel", "")
    assert isinstance(by_request, Estimate)


@pytest.mark.slow
def test_a_gap_in_the_scrapes_of_one_variant_merges_polls_and_keeps_counts(
    ask: Callable[..., Experiment],
) -> None:
    whole, holey = World(), World()
    holey._all = [
        Series(s.labels, s.times[keep], s.values[keep])
        for s in whole.all
        for keep in [
            (s.labels["instance"] != "control:8082")
            | (s.times < START + 600)
            | (s.times > START + 700)
        ]
    ]
    one, other = run(ask("request"), whole), run(ask("request"), holey)
    assert [v.requests for v in one.variants] == [v.requests for v in other.variants]
    assert one.metrics[0].polls - 4 <= other.metrics[0].polls < one.metrics[0].polls
    assert other.variants[0].coverage
    assert other.variants[0].coverage.covered_ratio == pytest.approx(1 - 120 / 1770)
    assert other.verdict.kind == one.verdict.kind


def test_more_successes_than_trials_contradict_each_other(ask: Callable[..., Experiment]) -> None:
    swapped = dataclasses.replace(
        METRICS[0],
        selectors={
            "n": 'ab_request_duration_seconds_bucket{variant="$variant",le="0.001"}',
            "successes": 'ab_request_duration_seconds_count{variant="$variant"}',
        },
    )
    found = run(ask("request", metrics=(swapped, METRICS[1])), World())
    effects = [metric.comparisons[0].effect for metric in found.metrics]
    assert isinstance(effects[0], NotEstimable)
    assert effects[0].why.code == "contradictory"
    assert effects[0].why.facts["detail"] == "more successes than trials"
    assert isinstance(effects[1], Estimate)  # which nothing is wrong with


def test_edges_that_only_one_variant_has_are_merged(ask: Callable[..., Experiment]) -> None:
    latency = Metric("p95", "secondary", "quantile", "latency", "decrease", quantile=0.9)
    world = World()
    world._all = [
        Series(
            {**s.labels, "le": {"0.001": "0.002"}.get(s.labels["le"], s.labels["le"])}
            if s.labels.get("le") and s.labels["variant"] == CONTROL
            else s.labels,
            s.times,
            s.values,
        )
        for s in world.all
    ]
    effect = run(ask(metrics=(METRICS[0], latency)), world).metrics[1].comparisons[0].effect
    assert isinstance(effect, NotEstimable)
    assert effect.why.code == "tooFewCommonEdges"


@pytest.mark.slow
def test_a_shadow_changes_nothing_but_is_said_to_be_one(ask: Callable[..., Experiment]) -> None:
    alone, beside = World(), World()
    copied = [s for s in beside.all if s.labels.get("variant") == TREATMENT]
    beside._all = [
        *beside.all,
        *(Series({**s.labels, "variant": "next"}, s.times, s.values) for s in copied),
    ]
    plain = run(ask(), alone)
    found = run(ask(shadow=Shadow("next", Model("iris", "v3"), 50)), beside)
    assert found.notes == (Reason("shadowNotJudged", {"variant": "next"}), *plain.notes)
    assert dataclasses.replace(found, notes=plain.notes) == plain


@pytest.mark.parametrize("seconds", [1e308, -1.0, float("nan")])
def test_evidence_with_an_interval_that_cannot_be_is_refused(
    ask: Callable[..., Experiment], seconds: float
) -> None:
    experiment, world = ask(), World()
    found = gather(experiment, ledger(experiment), world, telemetry(experiment))
    assert found.samples is not None
    samples = dataclasses.replace(found.samples, interval_seconds=seconds)
    with pytest.raises(SourceError, match="is damaged: scrapes every"):
        judge(dataclasses.replace(found, samples=samples))


def test_it_says_what_was_asked_of_whom_and_when(ask: Callable[..., Experiment]) -> None:
    experiment, world = ask(design=dataclasses.replace(DESIGN, alpha=0.01)), World(seconds=300)
    found = run(experiment, world)
    assert (found.experiment, found.source, found.unit) == ("iris", world.place, "user")
    assert (found.test, found.alpha) == ("horizon", 0.01)
    assert (found.at, found.started, found.elapsed_seconds) == (START + 300, START, 300)
    assert (found.min_duration_seconds, found.max_duration_seconds) == (600, 7200)
    assert (found.current_split, found.counts_from) == (SPLIT_OF[0.5], START + 30)
    assert found.preset == telemetry(experiment).name
    assert found.remarks == telemetry(experiment).preset.remarks
    assert [(e.start, e.end, e.split) for e in found.epochs] == [
        (START + 30, START + 300, SPLIT_OF[0.5])
    ]
    assert [note["key"] for note in notes(found, "outsideExperiment").values()] == ["x-user-id"] * 2
    assert notes(found, "restarts") == notes(found, "countersFell") == {}
    assert notes(found, "startUnknown") == notes(found, "targetsGone") == {}


@pytest.mark.parametrize("ahead", [5.0, 5.5, -5.0, -5.5])
@pytest.mark.parametrize("measured", [True, False])
def test_clocks_that_are_more_than_five_seconds_apart_are_not_trusted(
    ask: Callable[..., Experiment], ahead: float, measured: bool
) -> None:
    experiment, world = ask(), World(seconds=60)
    evidence = gather(experiment, ledger(experiment), world, telemetry(experiment))
    if measured:
        evidence = dataclasses.replace(evidence, ahead_seconds=ahead)
    else:
        # The last entry is of a time that is still to come here, or was long ago.
        evidence = dataclasses.replace(evidence, now=START + ahead, samples=None)
    found = judge(evidence)
    apart = [Reason("clocksApart", {"ahead_seconds": ahead})]
    expected = apart if ahead in (-5.5, 5.5 if measured else None) else []
    assert [r for r in found.verdict.reasons if r.code == "clocksApart"] == expected
    assert found.elapsed_seconds == (60 if measured else max(0, ahead))


def three(experiment: Experiment, *shares_bp: int) -> tuple[Experiment, Ledger]:
    """The same with a third variant, and a ledger that gives them these shares."""
    names = (CONTROL, TREATMENT, "third")
    split = Split(names, shares_bp)
    variants = (*experiment.variants, Variant("third", Model("iris", "v3")))
    made = dataclasses.replace(experiment, variants=variants, split=split)
    entry = Entry(START, "me", None, split, "test", "applied")
    return made, Ledger(locked_plan(made)).with_entry(entry)


def test_a_treatment_without_a_share_is_named_unless_all_are(
    ask: Callable[..., Experiment],
) -> None:
    made, entries = three(ask(), 5000, 5000, 0)
    found = judge(gather(made, entries, World(seconds=300), telemetry(made)))
    assert [n.facts for n in found.notes if n.code == "noShare"] == [{"variant": "third"}]
    assert [each.treatment for each in found.verdict.treatments] == [TREATMENT]
    made, entries = three(ask(), 10_000, 0, 0)
    world = World(seconds=300, shares={START: 0.0}, silent=(TREATMENT,))
    found = judge(gather(made, entries, world, telemetry(made)))
    assert [n for n in found.notes if n.code == "noShare"] == []
    assert [each.treatment for each in found.verdict.treatments] == [TREATMENT, "third"]


def test_a_ledger_of_other_variants_says_nothing_of_these(ask: Callable[..., Experiment]) -> None:
    experiment = ask()
    _, entries = three(experiment, 5000, 5000, 0)
    found = judge(gather(experiment, entries, World(seconds=300), telemetry(experiment)))
    assert found.verdict.kind == "invalid"
    names = [CONTROL, TREATMENT]
    assert found.verdict.reasons[0] == Reason(
        "otherVariants", {"ledger": [*names, "third"], "experiment": names}
    )
    shares = {CONTROL: 0.5, TREATMENT: 0.5, "third": 0.0}
    assert Reason("epochOfOtherVariants", {"epoch": 0, "split": shares}) in found.notes
    assert "epochUncertain" not in [note.code for note in found.notes]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("late", "told"),
    [(0, False), (30 + GAP_INTERVALS * SCRAPE_SECONDS, False), (345, True)],
)
def test_a_variant_that_was_first_scraped_long_after_it_had_a_share_is_named(
    ask: Callable[..., Experiment], late: float, told: bool
) -> None:
    world = World(seconds=900)
    world._all = [
        Series(s.labels, s.times[keep], s.values[keep])
        for s in world.all
        for keep in [(s.labels["instance"] != f"{TREATMENT}:8082") | (s.times >= START + late)]
    ]
    found = notes(run(ask(), world), "startUnknown")
    # It had its share from the end of settling on.
    facts = {"variant": TREATMENT, "missing_seconds": late - 30}
    assert found == ({TREATMENT: facts} if told else {})


@pytest.mark.parametrize("test", ["sequential", "fixed"])
@pytest.mark.parametrize("seconds", [20, 40])
def test_before_the_first_poll_is_over_nothing_is_wrong(
    ask: Callable[..., Experiment], test: str, seconds: float
) -> None:
    found = run(ask(test=test), World(seconds=seconds))
    assert (found.verdict.kind, found.srm) == ("continue", None)
    assert {v.coverage for v in found.variants} == {None}


def test_while_the_first_intent_is_open_no_split_is_known(ask: Callable[..., Experiment]) -> None:
    experiment = ask()
    intent = Entry(START, "me", None, SPLIT_OF[0.5], "test", "intent")
    entries = Ledger(locked_plan(experiment)).with_entry(intent)
    found = judge(gather(experiment, entries, World(seconds=60), telemetry(experiment)))
    assert (found.verdict.kind, found.epochs) == ("continue", ())
    assert "noShare" not in [note.code for note in found.notes]
    effect = found.metrics[0].comparisons[0].effect
    assert isinstance(effect, NotEstimable)
    assert effect.why == Remark("splitChanging")


@pytest.mark.parametrize(
    ("seconds", "code"), [(29, "countsFrom"), (30, "tooFewScrapes"), (31, "tooFewScrapes")]
)
def test_it_says_from_when_on_requests_count(
    ask: Callable[..., Experiment], seconds: float, code: str
) -> None:
    effect = run(ask(), World(seconds=seconds)).metrics[0].comparisons[0].effect
    assert isinstance(effect, NotEstimable)
    assert effect.why.code == code
    assert effect.why.facts["counts_from"] == "2023-11-14T22:13:50Z"


def test_a_ledger_that_a_shift_began_locked_no_plan_and_that_is_said(
    ask: Callable[..., Experiment],
) -> None:
    experiment = ask()
    bare = dataclasses.replace(experiment, metrics=())
    entry = Entry(START, "me", None, SPLIT_OF[0.5], "found", "observed")
    entries = Ledger(locked_plan(bare)).with_entry(entry)
    found = judge(gather(experiment, entries, World(seconds=300), telemetry(experiment)))
    assert found.notes[0] == Reason("planNotLocked", {})
    assert found.verdict.kind == "continue"


@pytest.mark.slow
def test_who_has_no_share_at_the_planned_end_is_named_whatever_came_later(
    ask: Callable[..., Experiment],
) -> None:
    design = dataclasses.replace(
        DESIGN, test="fixed", min_duration_seconds=1200, max_duration_seconds=1200
    )
    made, entries = three(ask("request", design=design), 5000, 5000, 0)
    names = made.split.names
    for at, shares_bp in ((300, (5000, 0, 5000)), (1500, (5000, 5000, 0))):
        entry = Entry(START + at, "me", None, Split(names, shares_bp), "test", "applied")
        entries = entries.with_entry(entry)
    world = World(requests=20, shares={START: 0.5, START + 300: 0.0})
    found = judge(gather(made, entries, world, telemetry(made)))
    assert found.notes[0].code == "oneLookTaken"
    assert [n.facts for n in found.notes if n.code == "noShare"] == [{"variant": TREATMENT}]


@pytest.mark.slow
def test_what_begins_at_the_planned_end_is_no_epoch_of_it(ask: Callable[..., Experiment]) -> None:
    design = dataclasses.replace(
        DESIGN,
        test="fixed",
        min_duration_seconds=1200,
        max_duration_seconds=1200,
        settle_seconds=0,
    )
    world = World(requests=20, shares={START: 0.5, START + 1200: 0.2})
    found = run(ask("request", design=design), world)
    assert [(e.start, e.end) for e in found.epochs] == [(START, START + 1200)]


def test_a_control_without_a_share_is_no_treatment_without_one(
    ask: Callable[..., Experiment],
) -> None:
    made, entries = three(ask(), 0, 5000, 5000)
    found = judge(gather(made, entries, World(seconds=300), telemetry(made)))
    assert "noShare" not in [note.code for note in found.notes]


@pytest.mark.parametrize("unit", ["user", "request"])
@pytest.mark.parametrize("test", ["sequential", "fixed"])
def test_the_check_of_the_split_looks_as_often_and_at_whom_the_plan_says(
    ask: Callable[..., Experiment], unit: str, test: str
) -> None:
    found = run(ask(unit, test), World(seconds=300)).srm
    assert isinstance(found, SrmResult)
    # The sequential e-value has no degrees of freedom.
    assert (found.df == ()) == (test == "sequential")
    assert ("bucketed" in found.method) == (unit == "user")


def test_why_there_is_no_check_of_the_split_is_said(ask: Callable[..., Experiment]) -> None:
    silent = run(ask(), World(seconds=300, silent=(TREATMENT,))).srm
    assert isinstance(silent, NotEstimable)
    assert silent.method == "split"
    assert silent.why == Remark("requestsUnknown", {"variants": [TREATMENT]})
    world = World(seconds=300)
    world._all = [
        Series({{"bucket": "shard"}.get(k, k): v for k, v in s.labels.items()}, s.times, s.values)
        for s in world.all
    ]
    unclustered = run(ask(), world).srm
    assert isinstance(unclustered, NotEstimable)
    assert unclustered.method == "clustered"
    made, entries = three(ask("request"), 5000, 5000, 0)
    found = judge(gather(made, entries, World(seconds=300), telemetry(made)))
    assert isinstance(found.srm, SrmResult)


def test_whoever_had_a_share_only_while_nothing_counted_owes_no_counters(
    ask: Callable[..., Experiment],
) -> None:
    made, entries = three(ask(), 5000, 0, 5000)
    split = Split(made.split.names, (5000, 5000, 0))
    noticed = Entry(START + 200, "unknown", None, split, "somebody else", "observed")
    world = World(seconds=600, shares={START: 0.0, START + 200: 0.5})
    found = judge(gather(made, entries.with_entry(noticed), world, telemetry(made)))
    assert [epoch.counted for epoch in found.epochs] == [False, True]
    assert found.verdict.kind == "continue"


def test_the_last_entry_says_how_far_the_clock_is_behind(ask: Callable[..., Experiment]) -> None:
    experiment = ask()
    entries = ledger(experiment, {START: 0.5, START + 100: 0.2})
    found = judge(gather(experiment, entries, World(seconds=90), telemetry(experiment)))
    assert found.verdict.reasons[0] == Reason("clocksApart", {"ahead_seconds": -10})


@pytest.mark.slow
def test_counts_that_fell_or_came_outside_are_told(ask: Callable[..., Experiment]) -> None:
    world = World(seconds=600, restart=START + 300)
    for each in world.all:
        if each.labels["__name__"] == "process_start_time_seconds":
            each.values[:] = START - 100
    found = run(ask(), world)
    falls = notes(found, "countersFell")
    assert [*falls] == [CONTROL, TREATMENT]
    assert all(facts["falls_count"] > 0 for facts in falls.values())
    plain = ask("request")
    keyless = dataclasses.replace(plain, assignment=dataclasses.replace(plain.assignment, key=""))
    told = notes(run(keyless, World(seconds=300)), "outsideExperiment")
    assert {facts["key"] for facts in told.values()} == {"unit"}


def test_what_came_before_the_first_period_is_told_with_its_end(
    ask: Callable[..., Experiment],
) -> None:
    world = World(seconds=600, shares={START: 0.5, START + 300: 0.2})
    experiment = ask()
    evidence = gather(experiment, ledger(experiment, world.shares), world, telemetry(experiment))
    told = notes(judge(evidence), "beforeFirstPeriod")
    for name in (CONTROL, TREATMENT):
        count = counted(world, "ab_requests_total", START, START + 30, variant=name)
        count -= counted(world, "ab_requests_total", START, START + 30, variant=name, bucket="none")
        assert told[name] == {
            "variant": name,
            "counts_from": "2023-11-14T22:13:50Z",
            "requests_count": count,
        }
    assert notes(judge(evidence), "beforeFirstPeriodUnknown") == {}


@pytest.mark.slow
@pytest.mark.parametrize(("first", "phase"), [(0, "applied"), (5000, "observed")])
def test_a_first_scrape_is_due_when_the_first_share_counts(
    ask: Callable[..., Experiment], first: int, phase: Any
) -> None:
    """Neither an epoch without a share counts, nor one that ended at an unknown time."""
    experiment = ask()
    entries = Ledger(locked_plan(experiment))
    for at, bp, how in ((0, first, "applied"), (600, 5000, phase), (1200, 2000, "applied")):
        split = Split((CONTROL, TREATMENT), (10_000 - bp, bp))
        entries = entries.with_entry(Entry(START + at, "me", None, split, "test", how))
    world = World(shares={START: first / 10_000, START + 600: 0.5, START + 1200: 0.2})
    world._all = [
        Series(s.labels, s.times[keep], s.values[keep])
        for s in world.all
        # One of its counters is there before the others.
        for since in [960 if s.labels.get("bucket") == "3" else 1050]
        for keep in [(s.labels["instance"] != f"{TREATMENT}:8082") | (s.times >= START + since)]
    ]
    found = judge(gather(experiment, entries, world, telemetry(experiment)))
    assert notes(found, "startUnknown") == {
        TREATMENT: {"variant": TREATMENT, "missing_seconds": 960 - 630}
    }


def test_what_counters_of_unknown_age_held_at_first_is_told(
    ask: Callable[..., Experiment],
) -> None:
    world = World(seconds=600)
    seen = [s for s in world.all if s.labels["__name__"] != "process_start_time_seconds"]
    world._all = [
        Series(s.labels, s.times[s.times > START + 100], s.values[s.times > START + 100])
        for s in seen
    ]
    held = {
        name: sum(
            float(s.values[0])
            for s in world.all
            if s.labels["__name__"] == "ab_requests_total"
            and s.labels["variant"] == name
            and s.labels["bucket"] != "none"
        )
        for name in (CONTROL, TREATMENT)
    }
    told = notes(run(ask(), world), "beforeFirstScrape")
    assert {name: facts["requests_count"] for name, facts in told.items()} == held
    assert all(held.values())


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["user", "request"])
def test_a_horizon_decides_as_early_and_says_by_which_method(
    ask: Callable[..., Experiment], unit: str
) -> None:
    world = World(truth={CONTROL: 0.8, TREATMENT: 0.84})
    found = run(ask(unit, test="horizon"), world)
    assert found.verdict.kind == "ship", found.verdict.reasons
    kind = "ratio" if unit == "user" else "proportion"
    assert [metric.method for metric in found.metrics] == [f"{kind}_horizon"] * 2
    assert found.test == "horizon"
    worse = run(ask(unit, test="horizon"), World(truth={CONTROL: 0.8, TREATMENT: 0.7}))
    assert worse.verdict.kind == "stop"
