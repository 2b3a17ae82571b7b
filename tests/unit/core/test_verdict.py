"""What follows from which findings."""

from dataclasses import replace
from typing import Any

import pytest

from abctl.core.analysis import Claim, Comparison, Coverage, MetricResult, Result, Says
from abctl.core.experiment import Design
from abctl.core.verdict import Size, distrust, verdict
from abctl.stats.estimate import Delta, Estimate, NotEstimable
from abctl.stats.srm import sequential

DESIGN = Design(min_duration_seconds=100, max_duration_seconds=1000)
FIXED = replace(DESIGN, test="fixed")
WATCHED = Coverage(1, 0, 15.0, 1.0, 3.0, 0.0, 0.0)
MARGIN = Delta(0.005, relative=False)


def estimate(effect: float, p: float) -> Estimate:
    return Estimate(
        method="proportion_sequence",
        control=0.5,
        treatment=0.5 + effect,
        effect=effect,
        interval=(effect - 0.01, effect + 0.01),
        lift=effect / 0.5,
        lift_interval=None,
        p=p,
        log_p=-1.0,
        alpha=0.05,
        alternative="greater",
        guarantee="exact",
        assumptions=(),
        n=(100.0, 100.0),
        epochs=(0,),
        log_e=1.0,
    )


def metric(
    name: str, role: str, proven: dict[str, tuple[Says, ...]], result: Result | None = None
) -> MetricResult:
    """A metric with what is proven of each treatment."""
    asked: tuple[Says, ...] = ("better", "harm") if role == "primary" else ("non-inferior", "harm")
    found = result or estimate(0.02, 0.01)
    null = MARGIN if role == "guardrail" else Delta(0, relative=False)
    comparisons = tuple(
        Comparison(t, found, tuple(Claim(a, null, found, None, a in says) for a in asked))
        for t, says in proven.items()
    )
    rest: dict[str, Any] = {"of": name, "quantile": None, "mde": None, "margin": None, "polls": 1}
    return MetricResult(
        name=name,
        role=role,  # type: ignore[arg-type]
        kind="proportion",
        direction="increase",
        method="proportion_sequence",
        selectors={},
        remarks=(),
        comparisons=comparisons,
        **rest,
    )


def primary(*says: Says, **other: tuple[Says, ...]) -> MetricResult:
    return metric("accuracy", "primary", {"treatment": says, **other})


def guardrail(*says: Says, **other: tuple[Says, ...]) -> MetricResult:
    return metric("errors", "guardrail", {"treatment": says, **other})


@pytest.mark.parametrize("elapsed", [0, 100, 1000])
@pytest.mark.parametrize("better", [(), ("better",)])
@pytest.mark.parametrize("safe", [(), ("non-inferior",), ("harm",)])
@pytest.mark.parametrize("trusted", [True, False])
def test_every_combination_has_the_verdict_of_the_rules(
    elapsed: int, better: tuple[Says, ...], safe: tuple[Says, ...], trusted: bool
) -> None:
    found = verdict(
        DESIGN,
        [primary(*better), guardrail(*safe)],
        elapsed_seconds=elapsed,
        integrity=() if trusted else ("the split",),
    )
    ready = bool(better) and safe == ("non-inferior",) and elapsed >= 100
    if not trusted:
        expected = "invalid"
    elif safe == ("harm",):
        expected = "stop"
    elif ready:
        expected = "ship"
    else:
        expected = "stop" if elapsed >= 1000 else "continue"
    assert found.kind == expected
    assert found.reasons


def test_harm_names_the_metric_and_the_size() -> None:
    found = verdict(DESIGN, [primary("better"), guardrail("harm")], elapsed_seconds=1, integrity=())
    assert found.kind == "stop"
    assert found.treatment == "treatment"
    assert found.reasons == (
        (
            "guardrail errors of treatment is worse than its margin of +0.50pp: "
            "+2.00pp (50.00% to 52.00%, p = 0.01)"
        ),
    )


def test_harm_on_a_primary_goes_before_better_on_another() -> None:
    other = replace(primary("better"), name="clicks")
    found = verdict(DESIGN, [primary("harm"), other], elapsed_seconds=500, integrity=())
    assert found.kind == "stop"
    assert "primary accuracy of treatment is worse" in found.reasons[0]


def test_the_treatment_that_is_ready_ships_though_another_is_not() -> None:
    found = verdict(
        DESIGN,
        [primary(), primary(), guardrail("non-inferior", b=("non-inferior",))],
        elapsed_seconds=500,
        integrity=(),
    )
    assert found.kind == "continue"
    found = verdict(
        DESIGN,
        [primary(b=("better",)), guardrail("non-inferior", b=("non-inferior",))],
        elapsed_seconds=500,
        integrity=(),
    )
    assert (found.kind, found.treatment) == ("ship", "b")


def test_a_fixed_test_is_silent_before_its_end_even_of_harm() -> None:
    metrics = [primary("harm"), guardrail("harm")]
    small = [Size("accuracy", needed=1000, reached=100)]
    for elapsed, sizes in ((50, []), (500, small)):
        found = verdict(FIXED, metrics, elapsed_seconds=elapsed, integrity=(), sizes=sizes)
        assert found.kind == "continue"
        assert "looked at once" in found.reasons[-1]
    assert verdict(FIXED, metrics, elapsed_seconds=500, integrity=()).kind == "stop"
    assert verdict(FIXED, metrics, elapsed_seconds=1000, integrity=(), sizes=small).kind == "stop"


def test_a_fixed_test_ends_with_its_one_look() -> None:
    found = verdict(FIXED, [primary(), guardrail()], elapsed_seconds=100, integrity=())
    assert found.kind == "stop"
    assert "the one look that was planned" in found.reasons[0]


def test_continue_says_what_is_missing_and_when_it_is_expected() -> None:
    missing = metric(
        "errors", "guardrail", {"treatment": ()}, NotEstimable("ratio", "no errors yet")
    )
    found = verdict(
        DESIGN,
        [primary(), missing],
        elapsed_seconds=60,
        integrity=(),
        sizes=[Size("accuracy", needed=1000, reached=100)],
    )
    assert found.kind == "continue"
    assert found.reasons == (
        (
            "primary accuracy of treatment: not proven better yet: "
            "+2.00pp (50.00% to 52.00%, p = 0.01, must be 0.05 or less)"
        ),
        "guardrail errors of treatment: not estimable yet: no errors yet",
        "40 s more until minDuration of 1.67 min",
        (
            "accuracy: 100 in the smaller variant, about 1,000 needed to find its mde, "
            "in about 9 min at this pace"
        ),
    )


@pytest.mark.parametrize(
    ("watched", "reason"),
    [
        (WATCHED, None),
        (None, "has no request counters of it"),
        (replace(WATCHED, covered_ratio=0.8), "cover 80.0% of the time, must be 90%"),
        (replace(WATCHED, doubtful_ratio=0.3), "up to 30.0% of its requests may be none"),
        (replace(WATCHED, doubtful_ratio=0.05), None),
        (replace(WATCHED, stale_seconds=3600.0), "was last scraped 1 h ago"),
        (replace(WATCHED, stale_seconds=100.0), None),
        (replace(WATCHED, stale_seconds=500.0, interval_seconds=60.0), None),
    ],
)
def test_evidence_with_holes_is_not_trusted(watched: Coverage | None, reason: str | None) -> None:
    found = list(distrust(None, ("a", "b"), {"a": WATCHED, "b": watched}, ()))
    assert len(found) == (reason is not None)
    assert all(f"b: the source {reason}" in text or f"{reason}" in text for text in found)


def test_a_wrong_split_is_told_with_names_and_numbers() -> None:
    off = sequential([[700, 300]], [[0.5, 0.5]])
    told = list(distrust(off, ("old", "new"), {}, ()))
    assert len(told) == 1
    assert "old got 70.00% of 1,000 requests, expected 50.00% (p < 0.0001)" in told[0]
    right = sequential([[510, 490]], [[0.5, 0.5]])
    assert list(distrust(right, ("old", "new"), {}, ())) == []


def test_a_changed_plan_is_not_trusted() -> None:
    (told,) = distrust(None, (), {}, ("metrics", "design"))
    assert told.startswith("metrics, design: not as in the plan")


def test_a_corrected_p_says_so_and_what_it_needs() -> None:
    found = primary()
    comparison = found.comparisons[0]
    claims = tuple(replace(claim, p_adjusted=0.08) for claim in comparison.claims)
    corrected = replace(found, comparisons=(replace(comparison, claims=claims),))
    reason = verdict(DESIGN, [corrected], elapsed_seconds=200, integrity=()).reasons[0]
    assert "p = 0.08 by Holm, must be 0.05 or less" in reason


def test_harm_that_was_within_its_margin_at_another_look_says_so() -> None:
    found = verdict(
        DESIGN, [primary(), guardrail("harm", "non-inferior")], elapsed_seconds=500, integrity=()
    )
    assert found.kind == "stop"
    assert "at another look it was within it" in found.reasons[0]
