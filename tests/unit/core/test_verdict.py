"""What follows from which findings."""

from dataclasses import replace
from typing import Any

import pytest
from estimates import PLAIN

from abctl.core.analysis import (
    Claim,
    ClaimKind,
    Comparison,
    Coverage,
    MetricResult,
    Result,
    Verdict,
)
from abctl.core.answers import Silence
from abctl.core.doubts import Doubts
from abctl.core.experiment import Design
from abctl.core.reasons import Reason
from abctl.core.verdict import Size, deviation, integrity_violations, units_mismatch, verdict
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Remark
from abctl.stats.srm import SrmResult, fixed, sequential

DESIGN = Design(min_duration_seconds=100, max_duration_seconds=1000)
FIXED = replace(DESIGN, test="fixed")
WATCHED = Coverage(1, 0, 15.0, 1.0, 3.0, 0.0, 0.0)
# The numbers behind a claim of `estimate(0.02, 0.01)`.
NUMBERS = {
    "unit": "share",
    "effect": 0.02,
    "control_value": 0.5,
    "treatment_value": 0.52,
    "p": 0.01,
    "p_is_adjusted": False,
    "alpha": 0.05,
}
ACCURACY = {"metric": "accuracy", "role": "primary", "treatment": "treatment"}
UNKNOWN = NotEstimable("ratio", Remark("noVariance"))
ERRORS = {"metric": "errors", "role": "guardrail", "treatment": "treatment"}
MARGIN = Delta(0.005, relative=False)


def estimate(effect: float, p: float) -> Estimate:
    interval = (effect - 0.01, effect + 0.01)
    treatment, lift = 0.5 + effect, effect / 0.5
    return replace(PLAIN, treatment=treatment, effect=effect, interval=interval, lift=lift, p=p)


def metric(
    name: str, role: str, proven: dict[str, tuple[ClaimKind, ...]], result: Result | None = None
) -> MetricResult:
    """A metric with what is proven of each treatment."""
    asked: tuple[ClaimKind, ...] = (
        ("better", "harm") if role == "primary" else ("non-inferior", "harm")
    )
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


def codes(found: Verdict) -> list[str]:
    return [reason.code for reason in found.reasons]


def primary(*says: ClaimKind, **other: tuple[ClaimKind, ...]) -> MetricResult:
    return metric("accuracy", "primary", {"treatment": says, **other})


def guardrail(*says: ClaimKind, **other: tuple[ClaimKind, ...]) -> MetricResult:
    return metric("errors", "guardrail", {"treatment": says, **other})


@pytest.mark.parametrize("elapsed", [0, 100, 1000])
@pytest.mark.parametrize("better", [(), ("better",)])
@pytest.mark.parametrize("safe", [(), ("non-inferior",), ("harm",)])
@pytest.mark.parametrize("trusted", [True, False])
def test_every_combination_has_the_verdict_of_the_rules(
    elapsed: int, better: tuple[ClaimKind, ...], safe: tuple[ClaimKind, ...], trusted: bool
) -> None:
    found = verdict(
        DESIGN,
        [primary(*better), guardrail(*safe)],
        elapsed_seconds=elapsed,
        integrity=() if trusted else (Reason("planChanged", {"parts": ["metrics"]}),),
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
    margin = {"margin": 0.005, "margin_is_relative": False, "was_within_margin": False}
    assert found.reasons == (Reason("harmProven", ERRORS | margin | NUMBERS),)


def test_harm_on_a_primary_goes_before_better_on_another() -> None:
    other = replace(primary("better"), name="clicks")
    found = verdict(DESIGN, [primary("harm"), other], elapsed_seconds=500, integrity=())
    assert found.kind == "stop"
    none = {"margin": None, "margin_is_relative": None, "was_within_margin": False}
    assert found.reasons == (Reason("harmProven", ACCURACY | none | NUMBERS),)


def of(
    elapsed_seconds: float = 500,
    without_share: tuple[str, ...] = (),
    silent: tuple[Silence, ...] = (),
    **are: str,
) -> Verdict:
    """The verdict on treatments that are good, harmful, or open."""
    says: dict[str, tuple[tuple[ClaimKind, ...], tuple[ClaimKind, ...]]] = {
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
        doubts=Doubts(silent=silent),
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
        harmed = [r.facts["treatment"] for r in found.reasons if r.code == "harmProven"]
        assert (name in harmed) == (which == "harmful")


@pytest.mark.parametrize("a", ["good", "harmful", "open"])
@pytest.mark.parametrize("b", ["good", "harmful", "open"])
def test_a_treatment_without_a_share_neither_stops_nor_ships(a: str, b: str) -> None:
    assert of(a=a, b=b, without_share=("a",)) == of(b=b)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_treatment_without_a_good_answer_is_harm_while_it_has_a_share(name: str) -> None:
    dead = Silence(name, "clients", 30.0, failed=40.0, others_good=90.0)
    found = of(a="open", b="open", silent=(dead,))
    assert (found.kind, found.treatment, found.reasons) == ("stop", name, (dead.reason,))
    others = [Verdict("continue", each, ()) for each in "ab" if each != name]
    assert [v for v in found.treatments if v.treatment != name] == others
    assert {v.treatment: v.kind for v in found.treatments}[name] == "stop"
    without = of(a="open", b="open", silent=(dead,), without_share=(name,))
    assert (without.kind, len(without.treatments)) == ("continue", 1)


def test_a_control_without_a_good_answer_is_nothing_to_compare_with() -> None:
    dead = Silence("control", "clients", 30.0, failed=40.0, others_good=90.0)
    found = of(a="good", b="open", silent=(dead,))
    assert (found.kind, found.reasons) == ("invalid", (dead.reason,))


@pytest.mark.parametrize("name", ["a", "control"])
def test_a_silence_that_may_be_chance_neither_stops_nor_makes_evidence_invalid(name: str) -> None:
    chance = Silence(name, "clients", 2.0, failed=1.0, others_good=2.0)
    assert not chance.proven
    assert of(a="open", b="open", silent=(chance,)).kind == "continue"


def test_units_of_a_table_that_do_not_follow_the_split_are_told_by_variant() -> None:
    found = units_mismatch(fixed([[700, 300]], [[0.5, 0.5]]), ("control", "treatment"))
    counts = ("control", 700, 1000, 500)
    facts = ("variant", "requests_count", "total_count", "expected_count")
    assert found.code == "unitsMismatch"
    assert tuple(found.facts[each] for each in facts) == counts


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
        too = {"treatment": other, "first": best, "metric": "accuracy"}
        assert Reason("mayShipToo", too) in ship.reasons


def test_when_time_is_over_what_is_open_is_given_up_and_harm_told_first() -> None:
    found = of(a="open", b="harmful", elapsed_seconds=1000)
    assert (found.kind, found.treatment) == ("stop", None)
    assert codes(found) == ["harmProven", "maxDurationOver", "notYetProven"]
    assert [r.facts.get("treatment") for r in found.reasons] == ["b", None, "a"]
    assert found.reasons[1].facts == {"max_duration_seconds": 1000}
    assert of(a="good", b="open", elapsed_seconds=1000).kind == "ship"


def test_a_fixed_test_is_silent_before_its_end_even_of_harm() -> None:
    metrics = [primary("harm"), guardrail("harm")]
    small = [Size("accuracy", "treatment", needed=1000, reached=100)]
    for elapsed, sizes in ((50, []), (500, small), (1000, small)):
        found = verdict(FIXED, metrics, elapsed_seconds=elapsed, integrity=(), sizes=sizes)
        assert found.kind == "continue"
        assert found.reasons[-1] == Reason("beforePlannedEnd", {"max_duration_seconds": 1000})
    assert verdict(FIXED, metrics, elapsed_seconds=500, integrity=(), ended=True).kind == "stop"


def test_a_fixed_test_ends_with_its_one_look() -> None:
    metrics = [primary(), guardrail()]
    for elapsed in (100, 10_000):
        found = verdict(FIXED, metrics, elapsed_seconds=elapsed, integrity=(), ended=True)
        assert found.kind == "stop"
        assert codes(found) == ["oneLookOver", "notYetProven", "notYetProven"]


def test_continue_says_what_is_missing_and_when_it_is_expected() -> None:
    missing = metric(
        "errors", "guardrail", {"treatment": ()}, NotEstimable("ratio", Remark("noVariance"))
    )
    found = verdict(
        DESIGN,
        [primary(), missing],
        elapsed_seconds=60,
        integrity=(),
        sizes=[Size("accuracy", "treatment", needed=1000, reached=100)],
    )
    assert found.kind == "continue"
    none = {"margin": None, "margin_is_relative": None}
    cause = {"code": "noVariance", "facts": {}}
    why = {"detail": "no variance in either variant", "reason": cause}
    assert found.reasons == (
        Reason("notYetProven", ACCURACY | none | NUMBERS),
        Reason("notYetEstimable", ERRORS | {"method": "ratio"} | why),
        Reason("minDuration", {"left_seconds": 40, "min_duration_seconds": 100}),
        Reason(
            "sizeNotReached",
            {
                "metric": "accuracy",
                "treatment": "treatment",
                "reached_count": 100,
                "needed_count": 1000,
                "expected_seconds": 900 / (100 / 60),
            },
        ),
    )


def test_before_anything_is_counted_nobody_says_when_the_size_is_reached() -> None:
    none = [Size("accuracy", "treatment", needed=1000, reached=0)]
    found = verdict(DESIGN, [primary()], elapsed_seconds=60, integrity=(), sizes=none)
    assert found.reasons[-1].code == "sizeNotReached"
    assert found.reasons[-1].facts["expected_seconds"] is None


def test_a_treatment_that_ends_leaves_the_others_and_says_which() -> None:
    found = of(a="harmful", b="open")
    assert codes(found) == ["harmProven", "othersGoOn", "notYetProven"]
    assert found.reasons[1].facts == {"stopped": ["a"], "going": ["b"]}


def test_a_metric_of_which_nothing_is_claimed_ships_nothing() -> None:
    metrics = [
        replace(each, comparisons=tuple(replace(c, claims=()) for c in each.comparisons))
        for each in (primary("better"), guardrail("non-inferior"))
    ]
    found = verdict(DESIGN, metrics, elapsed_seconds=500, integrity=())
    assert (found.kind, codes(found)) == ("continue", ["notAsked", "notAsked"])
    assert codes(verdict(DESIGN, metrics[1:], elapsed_seconds=500, integrity=())) == [
        "noPrimary",
        "notAsked",
    ]


@pytest.mark.parametrize(
    ("watched", "code", "facts"),
    [
        (WATCHED, None, {}),
        (None, "noRequestCounters", {}),
        (
            replace(WATCHED, covered_ratio=0.8),
            "scrapeGaps",
            {"covered_ratio": 0.8, "needed_ratio": 0.9},
        ),
        (replace(WATCHED, doubtful_ratio=0.3), "doubtfulRequests", {"doubtful_ratio": 0.3}),
        (replace(WATCHED, doubtful_ratio=0.05), None, {}),
        (replace(WATCHED, stale_seconds=3600.0), "stale", {"stale_seconds": 3600.0}),
        (replace(WATCHED, stale_seconds=100.0), None, {}),
        (replace(WATCHED, stale_seconds=500.0, interval_seconds=60.0), None, {}),
        # At the limits: they are still trusted.
        (replace(WATCHED, covered_ratio=0.9), None, {}),
        (replace(WATCHED, doubtful_ratio=1 - 0.9), None, {}),
        (replace(WATCHED, stale_seconds=120.0, interval_seconds=1.0), None, {}),
        (
            replace(WATCHED, stale_seconds=120.5, interval_seconds=1.0),
            "stale",
            {"stale_seconds": 120.5},
        ),
        (replace(WATCHED, stale_seconds=600.0, interval_seconds=60.0), None, {}),
        (
            replace(WATCHED, stale_seconds=600.5, interval_seconds=60.0),
            "stale",
            {"stale_seconds": 600.5},
        ),
    ],
)
def test_evidence_with_holes_is_not_trusted(
    watched: Coverage | None, code: str | None, facts: dict[str, float]
) -> None:
    found = list(integrity_violations(None, ("a", "b"), {"a": WATCHED, "b": watched}, ()))
    assert found == ([Reason(code, {"variant": "b", **facts})] if code else [])


def test_a_wrong_split_is_told_with_names_and_numbers() -> None:
    off = sequential([[700, 300]], [[0.5, 0.5]])
    assert isinstance(off, SrmResult)
    (told,) = integrity_violations(off, ("old", "new"), {}, ())
    assert told.code == "splitMismatch"
    assert told.facts == {
        "variant": "old",
        "requests_count": 700,
        "total_count": 1000,
        "expected_count": 500,
        "p": off.p,
        "alpha": off.alpha,
    }
    right = sequential([[510, 490]], [[0.5, 0.5]])
    assert list(integrity_violations(right, ("old", "new"), {}, ())) == []


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
    (told,) = integrity_violations(None, (), {}, ("metrics", "design"))
    assert told == Reason("planChanged", {"parts": ["metrics", "design"]})


def test_a_corrected_p_says_so() -> None:
    found = primary()
    comparison = found.comparisons[0]
    claims = tuple(replace(claim, p_adjusted=0.08) for claim in comparison.claims)
    corrected = replace(found, comparisons=(replace(comparison, claims=claims),))
    (reason,) = verdict(DESIGN, [corrected], elapsed_seconds=200, integrity=()).reasons
    assert (reason.facts["p"], reason.facts["p_is_adjusted"]) == (0.08, True)


def test_harm_that_was_within_its_margin_at_another_look_says_so() -> None:
    found = verdict(
        DESIGN, [primary(), guardrail("harm", "non-inferior")], elapsed_seconds=500, integrity=()
    )
    assert found.kind == "stop"
    assert found.reasons[0].code == "harmProven"
    assert found.reasons[0].facts["was_within_margin"]


def test_of_three_the_variant_that_is_furthest_off_is_named() -> None:
    off = fixed([[610, 240, 150]], [[0.6, 0.2, 0.2]])
    assert isinstance(off, SrmResult)
    (told,) = integrity_violations(off, ("a", "b", "c"), {}, ())
    named = [told.facts[fact] for fact in ("variant", "requests_count", "expected_count")]
    assert named == ["c", 150, 200]


def test_of_several_harmful_ones_the_first_is_named_while_others_go_on() -> None:
    found = of(a="harmful", b="open", c="harmful", d="open")
    assert (found.kind, found.treatment) == ("stop", "a")
    assert found.reasons[2].facts == {"stopped": ["a", "c"], "going": ["b", "d"]}


def test_what_is_proven_before_the_shortest_duration_comes_first() -> None:
    found = of(a="open", b="good", c="good", elapsed_seconds=50)
    assert (found.kind, found.treatment) == ("continue", "b")
    proven = ["betterProven", "withinMarginProven"] * 2
    assert codes(found) == [*proven, "notYetProven", "minDuration"]
    assert [r.facts.get("treatment") for r in found.reasons] == ["b", "b", "c", "c", "a", None]
    assert of(a="open", b="open", elapsed_seconds=50).treatment is None


def test_a_fixed_test_at_its_end_ships_whatever_the_time_or_names_whom_it_gives_up() -> None:
    metrics = [primary("better"), guardrail("non-inferior")]
    found = verdict(FIXED, metrics, elapsed_seconds=50, integrity=(), ended=True)
    assert (found.kind, found.treatment) == ("ship", "treatment")
    over = verdict(FIXED, [primary(), guardrail()], elapsed_seconds=50, integrity=(), ended=True)
    assert [(each.kind, each.treatment) for each in over.treatments] == [("stop", "treatment")]


def test_one_of_two_primaries_is_enough_and_only_the_proven_are_compared() -> None:
    safe = guardrail("non-inferior", b=("non-inferior",))
    other = replace(primary(b=("better",)), name="clicks")
    for unproven in (estimate(0.05, 0.2), estimate(-0.05, 0.2), UNKNOWN):
        first = primary("better", b=())
        one, two = first.comparisons
        first = replace(first, comparisons=(one, replace(two, effect=unproven)))
        found = verdict(DESIGN, [first, other, safe], elapsed_seconds=100, integrity=())
        assert (found.kind, found.treatment) == ("ship", "treatment")
        assert [each.kind for each in found.treatments] == ["ship", "ship"]
        too = {"treatment": "b", "first": "treatment", "metric": "accuracy"}
        assert [r for r in found.reasons if r.code == "mayShipToo"] == [Reason("mayShipToo", too)]
        better = [r.facts["metric"] for r in found.reasons if r.code == "betterProven"]
        assert better == ["accuracy"]


def test_the_reasons_to_ship_are_those_of_the_one_that_ships() -> None:
    assert {r.facts["treatment"] for r in of(a="open", b="good").reasons} == {"b"}


def test_of_two_without_an_estimate_the_first_goes_first() -> None:
    first = primary("better", b=("better",))
    unknown = UNKNOWN
    first = replace(first, comparisons=tuple(replace(c, effect=unknown) for c in first.comparisons))
    safe = guardrail("non-inferior", b=("non-inferior",))
    found = verdict(DESIGN, [first, safe], elapsed_seconds=500, integrity=())
    assert (found.kind, found.treatment) == ("ship", "treatment")
    assert "mayShipToo" not in codes(found)


def test_where_less_is_better_the_largest_decrease_goes_first() -> None:
    first = replace(primary("better", b=("better",)), direction="decrease")
    one, two = first.comparisons
    effects = (
        replace(one, effect=estimate(-0.02, 0.01)),
        replace(two, effect=estimate(-0.03, 0.01)),
    )
    safe = guardrail("non-inferior", b=("non-inferior",))
    metrics = [replace(first, comparisons=effects), safe]
    assert verdict(DESIGN, metrics, elapsed_seconds=500, integrity=()).treatment == "b"


@pytest.mark.parametrize(
    ("elapsed", "reached", "expected"),
    [(0, 10, None), (0.5, 10, 4.5), (1, 10, 9.0), (100, 99, 100 / 99), (100, 100, "reached")],
)
def test_a_size_is_expected_at_the_speed_so_far(
    elapsed: float, reached: float, expected: float | str | None
) -> None:
    size = Size("accuracy", "treatment", needed=100, reached=reached)
    found = verdict(DESIGN, [primary()], elapsed_seconds=elapsed, integrity=(), sizes=[size])
    assert ("minDuration" in codes(found)) == (elapsed < 100)
    said = [r.facts["expected_seconds"] for r in found.reasons if r.code == "sizeNotReached"]
    assert said == ([] if expected == "reached" else [pytest.approx(expected)])
