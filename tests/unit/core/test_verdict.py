"""What follows from which findings."""

from dataclasses import replace
from typing import Any

import pytest
from estimates import PLAIN

from abctl.core.analysis import Claim, Comparison, Coverage, MetricResult, Result, Says, Verdict
from abctl.core.experiment import Design
from abctl.core.verdict import Size, deviation, distrust, verdict
from abctl.stats.estimate import Delta, Estimate, NotEstimable
from abctl.stats.srm import SrmResult, fixed, sequential

DESIGN = Design(min_duration_seconds=100, max_duration_seconds=1000)
FIXED = replace(DESIGN, test="fixed")
WATCHED = Coverage(1, 0, 15.0, 1.0, 3.0, 0.0, 0.0)
MARGIN = Delta(0.005, relative=False)


def estimate(effect: float, p: float) -> Estimate:
    interval = (effect - 0.01, effect + 0.01)
    treatment, lift = 0.5 + effect, effect / 0.5
    return replace(PLAIN, treatment=treatment, effect=effect, interval=interval, lift=lift, p=p)


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


def of(elapsed_seconds: float = 500, without_share: tuple[str, ...] = (), **are: str) -> Verdict:
    """The verdict on treatments that are good, harmful, or open."""
    says: dict[str, tuple[tuple[Says, ...], tuple[Says, ...]]] = {
        "good": (("better",), ("non-inferior",)),
        "harmful": (("better",), ("harm",)),
        "open": ((), ("non-inferior",)),
    }
    metrics = [
        metric("accuracy", "primary", {name: says[each][0] for name, each in are.items()}),
        metric("errors", "guardrail", {name: says[each][1] for name, each in are.items()}),
    ]
    return verdict(
        DESIGN,
        metrics,
        elapsed_seconds=elapsed_seconds,
        integrity=(),
        without_share=without_share,
    )


@pytest.mark.parametrize(
    ("a", "b", "kind", "named"),
    [
        ("good", "open", "ship", "a"),
        ("open", "good", "ship", "b"),
        ("harmful", "good", "ship", "b"),
        ("good", "harmful", "ship", "a"),
        ("harmful", "open", "stop", "a"),
        ("open", "harmful", "stop", "b"),
        ("open", "open", "continue", None),
        ("harmful", "harmful", "stop", None),
    ],
)
def test_each_treatment_has_its_own_verdict_and_the_experiment_says_what_to_do(
    a: str, b: str, kind: str, named: str | None
) -> None:
    found = of(a=a, b=b)
    assert (found.kind, found.treatment) == (kind, named)
    kinds = {"good": "ship", "harmful": "stop", "open": "continue"}
    assert [(v.treatment, v.kind) for v in found.treatments] == [("a", kinds[a]), ("b", kinds[b])]
    for name, which in (("a", a), ("b", b)):
        harm = f"guardrail errors of {name} is worse than its margin"
        assert any(harm in reason for reason in found.reasons) == (which == "harmful")


@pytest.mark.parametrize("a", ["good", "harmful", "open"])
@pytest.mark.parametrize("b", ["good", "harmful", "open"])
def test_a_treatment_without_a_share_neither_stops_nor_ships(a: str, b: str) -> None:
    assert of(a=a, b=b, without_share=("a",)) == of(b=b)


def test_after_a_rollback_the_evidence_speaks_of_all() -> None:
    assert of(a="harmful", b="open", without_share=("a", "b")) == of(a="harmful", b="open")


def test_of_two_that_may_ship_the_larger_estimate_goes_first_and_proves_nothing() -> None:
    for direction, best in (("increase", "b"), ("decrease", "a")):
        found = [primary("better", b=("better",)), guardrail("non-inferior", b=("non-inferior",))]
        small, large = found[0].comparisons
        metrics = [
            replace(
                found[0],
                direction=direction,  # type: ignore[arg-type]
                comparisons=(
                    replace(small, treatment="a", effect=estimate(0.02, 0.001)),
                    replace(large, effect=estimate(0.03, 0.01)),
                ),
            ),
            replace(
                found[1],
                comparisons=(
                    replace(found[1].comparisons[0], treatment="a"),
                    found[1].comparisons[1],
                ),
            ),
        ]
        ship = verdict(DESIGN, metrics, elapsed_seconds=500, integrity=())
        assert (ship.kind, ship.treatment) == ("ship", best)
        other = {"a": "b", "b": "a"}[best]
        assert (
            f"{other} may ship as well: {best} goes first by its estimate of accuracy, "
            f"which does not prove it better than {other}"
        ) in ship.reasons


def test_when_time_is_over_what_is_open_is_given_up_and_harm_told_first() -> None:
    found = of(a="open", b="harmful", elapsed_seconds=1000)
    assert (found.kind, found.treatment) == ("stop", None)
    assert "guardrail errors of b is worse" in found.reasons[0]
    assert "maxDuration of 16.7 min is over" in found.reasons[1]
    assert of(a="good", b="open", elapsed_seconds=1000).kind == "ship"


def test_a_fixed_test_is_silent_before_its_end_even_of_harm() -> None:
    metrics = [primary("harm"), guardrail("harm")]
    small = [Size("accuracy", "treatment", needed=1000, reached=100)]
    for elapsed, sizes in ((50, []), (500, small), (1000, small)):
        found = verdict(FIXED, metrics, elapsed_seconds=elapsed, integrity=(), sizes=sizes)
        assert found.kind == "continue"
        assert "looked at once" in found.reasons[-1]
    assert verdict(FIXED, metrics, elapsed_seconds=500, integrity=(), ended=True).kind == "stop"


def test_a_fixed_test_ends_with_its_one_look() -> None:
    metrics = [primary(), guardrail()]
    for elapsed in (100, 10_000):
        found = verdict(FIXED, metrics, elapsed_seconds=elapsed, integrity=(), ended=True)
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
        sizes=[Size("accuracy", "treatment", needed=1000, reached=100)],
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
    assert (
        "old got 700 of 1,000 requests (70.00%), 500 expected (50.00%): more than chance explains "
        "(p < 0.0001)"
    ) in told[0]
    right = sequential([[510, 490]], [[0.5, 0.5]])
    assert list(distrust(right, ("old", "new"), {}, ())) == []


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (50, "(50.00%), as many as expected (p = 1)"),
        (55, "(55.00%), 50 expected (50.00%): a difference that chance explains (p = 0.32)"),
        (63, ": unusual, but chance may still explain it (p = 0.0093, an alarm at 0.001)"),
        (90, "(90.00%), 50 expected (50.00%): more than chance explains (p < 0.0001)"),
    ],
)
def test_a_share_that_is_off_by_chance_is_called_so(got: int, says: str) -> None:
    found = fixed([[got, 100 - got]], [[0.5, 0.5]])
    assert isinstance(found, SrmResult)
    said = deviation(found, ("new", "old"))
    assert said.startswith(f"new got {got} of 100 requests (")
    assert said.endswith(says)


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
