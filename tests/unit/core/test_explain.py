"""One request explained: override, cohorts, no key, hash, in this order."""

from dataclasses import replace

import pytest

from abctl.core.assignment import Assigned, bucket, explain, point, variant_at
from abctl.core.experiment import Assignment, Cohort
from abctl.core.split import Split

SPLIT = Split(("control", "treatment"), (7000, 3000))
RULES = Assignment(
    unit="user",
    key="x-user-id",
    salt="exp1",
    override="x-ab-variant",
    cohorts=(
        Cohort("x-cohort", "beta", variant="treatment"),
        Cohort("x-country", "DE", split=Split(SPLIT.names, (0, 10_000))),
    ),
)


def test_the_hash_decides_for_a_user_without_further_headers() -> None:
    for user in ("u1", "u2", "u3", "Zoë", "用户"):
        who = explain(RULES, SPLIT, {"x-user-id": user})
        at = point("exp1", user)
        assert (who.point, who.bucket) == (at, bucket("exp1", user, 64))
        assert who.variant == variant_at(SPLIT, at)
        assert who.randomized


def test_why_names_the_point_and_the_region() -> None:
    user = next(u for u in map(str, range(100)) if point("exp1", u) >= 7000)
    who = explain(RULES, SPLIT, {"x-user-id": user})
    assert who.why == f"point {who.point} is in 7000..9999 of treatment"
    user = next(u for u in map(str, range(100)) if point("exp1", u) < 7000)
    who = explain(RULES, SPLIT, {"x-user-id": user})
    assert who.why == f"point {who.point} is in 0..6999 of control"


FORCED = Assigned("treatment", None, None, "forced by x-ab-variant: treatment", randomized=False)
BETA = Assigned("treatment", None, None, "cohort x-cohort: beta", randomized=False)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-ab-variant": "treatment"}, FORCED),
        ({"x-ab-variant": "treatment", "x-user-id": "u1", "x-country": "DE"}, FORCED),
        ({"X-AB-Variant": " treatment\t"}, FORCED),
        ({"x-cohort": "beta"}, BETA),
        ({"x-cohort": "beta", "x-user-id": "", "x-country": "DE"}, BETA),
    ],
)
def test_the_first_that_applies_decides(headers: dict[str, str], expected: Assigned) -> None:
    assert explain(RULES, SPLIT, headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ab-variant": "treatmen"},
        {"x-ab-variant": "TREATMENT"},
        {"x-ab-variant": ""},
        {"x-cohort": "Beta"},
        {"x-country": "DEU"},
    ],
)
def test_a_header_with_another_value_changes_nothing(headers: dict[str, str]) -> None:
    alone = explain(RULES, SPLIT, {"x-user-id": "u1"})
    assert explain(RULES, SPLIT, {"x-user-id": "u1", **headers}) == alone


def test_nobody_can_force_a_variant_unless_the_experiment_allows_it() -> None:
    closed = replace(RULES, override=None)
    alone = explain(closed, SPLIT, {"x-user-id": "u1"})
    for header in ("x-ab-variant", ""):
        assert explain(closed, SPLIT, {"x-user-id": "u1", header: "treatment"}) == alone


def test_a_cohort_with_a_split_of_its_own_is_hashed_but_not_in_the_experiment() -> None:
    user = next(u for u in map(str, range(100)) if point("exp1", u) < 7000)
    who = explain(RULES, SPLIT, {"x-user-id": user, "x-country": "DE"})
    assert (who.variant, who.point) == ("treatment", point("exp1", user))
    assert (who.randomized, who.bucket) == (False, None)
    assert who.why.startswith("cohort x-country: DE has control 0%, treatment 100%; point ")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "x-user-id is missing: not in the experiment"),
        ({"x-user-id": ""}, "x-user-id is empty: not in the experiment"),
        ({"x-user-id": "  "}, "x-user-id is empty: not in the experiment"),
        ({"x-country": "DE"}, "x-user-id is missing: not in the experiment"),
    ],
)
def test_without_an_id_it_is_the_control_and_never_by_chance(
    headers: dict[str, str], why: str
) -> None:
    assert explain(RULES, SPLIT, headers) == Assigned("control", None, None, why, randomized=False)


def test_requests_drawn_one_by_one_have_no_variant_in_advance() -> None:
    rules = replace(RULES, unit="request")
    who = explain(rules, SPLIT, {"x-user-id": "u1"})
    why = "each request is drawn by itself: control 70%, treatment 30%"
    assert who == Assigned(None, None, bucket("exp1", "u1", 64), why, randomized=True)
    assert explain(rules, SPLIT, {}) == Assigned(None, None, None, why, randomized=True)
    assert explain(rules, SPLIT, {"x-cohort": "beta"}) == BETA
    assert not explain(rules, SPLIT, {"x-country": "DE"}).randomized


def test_blanks_around_an_id_are_not_part_of_it() -> None:
    assert explain(RULES, SPLIT, {"X-User-Id": " u1 "}) == explain(
        RULES, SPLIT, {"x-user-id": "u1"}
    )


def test_three_variants_keep_their_regions() -> None:
    split = Split(("control", "t1", "t2"), (6500, 1000, 2500))
    rules = replace(RULES, override=None, cohorts=())
    ends = {"t1": (0, 1000), "t2": (5000, 7500)}
    for user in map(str, range(300)):
        who = explain(rules, split, {"x-user-id": user})
        assert who.point is not None
        inside = [name for name, (start, stop) in ends.items() if start <= who.point < stop]
        assert who.variant == (inside[0] if inside else "control")
