"""Who the server is, and whose bucket a request counts in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_runtime.errors import StartError
from ab_runtime.variant import Variant
from abctl.core.assignment import bucket

NEEDED = {"AB_VARIANT": "control", "AB_SALT": "salt-1"}
VARIANT = Variant("control", "salt-1", buckets=64)


def as_header(unit: str) -> str:
    """What Starlette makes of a header that a client sent as UTF-8."""
    return unit.encode().decode("latin-1")


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 10_000))
def test_a_bucket_is_that_of_the_analysis(salt: str, unit: str, buckets: int) -> None:
    variant = Variant("control", salt, buckets)
    assert variant.bucket(unit) == str(bucket(salt, unit, buckets))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_user_has_one_bucket_in_headers_and_in_feedback(unit: str) -> None:
    assert VARIANT.bucket_of({"x-user-id": as_header(unit)}, None) == VARIANT.bucket(unit)


def test_users_spread_over_the_buckets() -> None:
    found = [VARIANT.bucket(f"user-{i}") for i in range(6400)]
    assert set(found) == set(VARIANT.bucket_labels) - {"none"}
    assert max(map(found.count, VARIANT.bucket_labels)) < 200


@pytest.mark.parametrize("unit", [None, ""])
def test_no_unit_is_in_no_bucket(unit: str | None) -> None:
    assert VARIANT.bucket(unit) == "none"


@pytest.mark.parametrize(
    ("headers", "unit"),
    [
        ({"x-user-id": "u1"}, "u1"),
        ({"x-user-id": "u1", "x-ab-randomized": "true"}, "u1"),
        ({"x-user-id": "u1", "x-ab-randomized": "false"}, None),
        ({"x-user-id": ""}, None),
        ({}, None),
        ({"x-ab-randomized": "false"}, None),
        ({"x-ab-randomized": "true"}, "request-7"),
        ({"x-user-id": "", "x-ab-randomized": "true"}, "request-7"),
    ],
)
def test_the_unit_of_a_request(headers: dict[str, str], unit: str | None) -> None:
    assert VARIANT.bucket_of(headers, "request-7") == VARIANT.bucket(unit)


def test_behind_a_router_that_draws_silently_every_request_counts() -> None:
    silent = Variant.from_environment(NEEDED | {"AB_RANDOMIZED": "true"})
    assert silent.bucket_of({}, "request-7") == silent.bucket("request-7")
    assert silent.bucket_of({"x-user-id": "u1"}, "request-7") == silent.bucket("u1")
    assert silent.bucket_of({"x-ab-randomized": "false"}, "request-7") == silent.bucket(None)


def test_the_environment_says_who_it_is() -> None:
    given_all = {"AB_BUCKETS": "16", "AB_KEY": "X-Account", "AB_OUTCOMES": "accuracy, revenue"}
    variant = Variant.from_environment(NEEDED | given_all)
    assert variant == Variant("control", "salt-1", 16, "x-account", ("accuracy", "revenue"))
    assert Variant.from_environment(NEEDED) == Variant("control", "salt-1", 64, "x-user-id", ())


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"AB_VARIANT": ""}, "AB_VARIANT"),
        ({"AB_VARIANT": "größer"}, "AB_VARIANT"),
        ({"AB_VARIANT": "a\nb"}, "AB_VARIANT"),
        ({"AB_SALT": ""}, "AB_SALT"),
        ({"AB_BUCKETS": "0"}, "AB_BUCKETS"),
        ({"AB_BUCKETS": "10001"}, "AB_BUCKETS"),
        ({"AB_BUCKETS": "many"}, "AB_BUCKETS"),
        ({"AB_RANDOMIZED": "yes"}, "AB_RANDOMIZED"),
        ({"AB_OUTCOMES": "accuracy,"}, "AB_OUTCOMES"),
        ({"AB_OUTCOMES": "accuracy,accuracy"}, "AB_OUTCOMES"),
    ],
)
def test_a_wrong_environment_is_named(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(StartError, match=f"^{named}"):
        Variant.from_environment(NEEDED | wrong)
