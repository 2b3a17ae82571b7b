"""Each claim carries the bound of the level that its p is held against, whatever Holm makes of it.

Claims, p and bounds of generated counts never contradict each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from laws import law

from abctl.analysis.compare import Comparing
from abctl.core.analysis import Claim, MetricResult
from abctl.core.experiment import Experiment, Metric
from abctl.evidence.streams import MetricStreams, Pair
from abctl.report.question import Question, question
from abctl.spec import load
from abctl.stats.estimate import Delta, Estimate
from abctl.stats.summary import Buckets, Counts, Stream

POLLS = 12
ROLES = ("primary", "primary", "guardrail", "secondary")


@dataclass(frozen=True, eq=False)
class Given:
    """Streams that are given, not read."""

    pairs: Mapping[str, Mapping[str, Pair]]

    def of(self, metric: Metric) -> MetricStreams:
        return MetricStreams({}, POLLS, self.pairs[metric.name])

    def by_request(self, _metric: Metric, _treatment: str) -> None:
        return None

    def reported(self, _metric: Metric, _treatment: str) -> None:
        return None

    def ages(self, _metric: Metric, _treatment: str) -> Iterator[tuple[bool, Stream[Any]]]:
        return iter(())

    def remarks(self, _metric: Metric) -> Iterator[str]:
        return iter(())


@st.composite
def counted(draw: st.DrawFn) -> tuple[int, list[Metric], int, list[float], bool, str]:
    treatments = draw(st.integers(1, 3))
    roles = ROLES[draw(st.integers(0, 1)) :]
    margin = draw(st.sampled_from([Delta(0.02, relative=False), Delta(0.1, relative=True)]))
    metrics = [
        Metric(
            f"m{i}",
            role,  # type: ignore[arg-type]
            "proportion",
            "clicks",
            draw(st.sampled_from(["increase", "decrease"])),
            mde=Delta(0.05, relative=False),
            margin=margin if role == "guardrail" else None,
        )
        for i, role in enumerate(roles)
    ]
    size = draw(st.integers(30, 3000))
    effects = draw(
        st.lists(st.sampled_from([-0.1, -0.03, 0.0, 0.03, 0.1]), min_size=20, max_size=20)
    )
    unit = draw(st.sampled_from(["request", "user"]))
    return treatments, metrics, size, effects, draw(st.booleans()), unit


def compared(
    experiment: Experiment, drawn: tuple[int, list[Metric], int, list[float], bool, str], seed: int
) -> tuple[MetricResult, ...]:
    treatments, metrics, size, effects, sequential, unit = drawn
    rng, names = np.random.default_rng(seed), ["control", *(f"t{i}" for i in range(treatments))]
    n = np.full(POLLS, size)

    def side(level: float) -> Any:
        if unit == "request":
            return Counts(n, rng.binomial(n, level))
        tried = rng.multinomial(n, np.full(16, 1 / 16))
        return Buckets(rng.binomial(tried, level), tried)

    shift = iter(effects)
    streams = {}
    for metric in metrics:
        control = side(0.4)
        streams[metric.name] = {
            name: Stream(control, side(0.4 + next(shift)), np.zeros(POLLS, dtype=np.int64))
            for name in names[1:]
        }
    asked = replace(
        experiment,
        variants=tuple(replace(experiment.variants[0], name=name) for name in names),
        metrics=tuple(metrics),
        design=replace(experiment.design, test="sequential" if sequential else "fixed"),
        assignment=replace(experiment.assignment, unit=unit),  # type: ignore[arg-type]
    )
    return Comparing(asked, Given(streams)).metrics()


def beyond(claim: Claim) -> bool:
    """Whether the bound lies on the far side of the null."""
    assert isinstance(claim.result, Estimate)
    assert claim.bound is not None
    if claim.result.alternative == "greater":
        return claim.bound > claim.null.value
    return claim.bound < claim.null.value


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load(Path(__file__).parents[3] / "k8s/experiments/envoy.yaml")


@pytest.mark.slow
@law(60, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=counted(), seed=st.integers(0, 2**31))
def test_a_claim_is_proven_exactly_if_its_bound_is_beyond_its_null(
    experiment: Experiment,
    drawn: tuple[int, list[Metric], int, list[float], bool, str],
    seed: int,
) -> None:
    for metric in compared(experiment, drawn, seed):
        for comparison in metric.comparisons:
            for claim in comparison.claims:
                if not isinstance(claim.result, Estimate) or claim.bound is None:
                    continue
                p = claim.result.p if claim.p_adjusted is None else claim.p_adjusted
                if abs(p - 0.05) < 1e-9:
                    continue
                assert claim.proven == (p <= 0.05) == beyond(claim)
            asked = question(comparison)
            if isinstance(asked, Question) and asked.says != "different":
                low, high = asked.ends
                ends = {"greater": low, "less": high}[asked.alternative]
                if ends is not None:
                    over = ends > asked.null.value
                    assert asked.holds == (over if asked.alternative == "greater" else not over)


def test_with_several_treatments_levels_are_shares_of_alpha(experiment: Experiment) -> None:
    metric = Metric("m", "primary", "proportion", "clicks", "increase", mde=Delta(0.05, False))
    drawn = (3, [metric], 2000, [0.1, 0.0, 0.03] * 7, True, "request")
    (found,) = compared(experiment, drawn, 1)
    better = [each.claims[0] for each in found.comparisons]
    assert better[0].level == pytest.approx(0.05 / 3)
    harm = [each.claims[1] for each in found.comparisons]
    assert [each.level for each in harm] == [0.05] * 3
    # A bound at a share of alpha is further out than the one at alpha.
    for claim in better:
        assert isinstance(claim.result, Estimate)
        assert claim.bound is not None
        if claim.level != 0.05:
            assert claim.bound < claim.result.interval[0]
