"""Who the server is, and whose bucket a request counts in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_runtime.errors import StartError
from ab_runtime.variant import Limits, Variant
from abctl.core.assignment import bucket

NEEDED = {"AB_VARIANT": "control", "AB_SALT": "salt-1"}
VARIANT = Variant("control", "salt-1", buckets=64)


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 10_000))
def test_a_bucket_is_that_of_the_analysis(salt: str, unit: str, buckets: int) -> None:
    variant = Variant("control", salt, buckets)
    assert variant.bucket(unit) == str(bucket(salt, unit, buckets))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_user_has_one_bucket_in_headers_and_in_feedback(unit: str) -> None:
    assert VARIANT.bucket_of([unit.encode()], None) == VARIANT.bucket(unit.strip(" \t"))


def test_users_spread_over_the_buckets() -> None:
    found = [VARIANT.bucket(f"user-{i}") for i in range(6400)]
    assert set(found) == set(VARIANT.bucket_labels) - {"none"}
    assert max(map(found.count, VARIANT.bucket_labels)) < 200


@pytest.mark.parametrize("unit", [None, ""])
def test_no_unit_is_in_no_bucket(unit: str | None) -> None:
    assert VARIANT.bucket(unit) == "none"


@pytest.mark.parametrize(
    ("units", "drawn", "bucket_"),
    [
        ([b"u1"], None, VARIANT.bucket("u1")),
        ([b"u1"], b"true", VARIANT.bucket("u1")),
        ([b" \tu1 "], None, VARIANT.bucket("u1")),
        ([b"u1"], b"false", "none"),
        ([b""], None, "none"),
        ([], None, "none"),
        ([], b"false", "none"),
        ([], b"true", None),
        ([b""], b"true", None),
        ([b"  "], b"true", None),
        ([b"u1", b"u1"], None, "none"),
        ([b"u1", b"u2"], b"true", "none"),
        (["grün".encode("latin-1")], None, "none"),
        (["grün".encode("latin-1")], b"true", "none"),
    ],
)
def test_the_bucket_of_a_request(
    units: list[bytes], drawn: bytes | None, bucket_: str | None
) -> None:
    assert VARIANT.bucket_of(units, drawn) == bucket_


def test_behind_a_router_that_draws_silently_every_request_counts() -> None:
    silent = Variant.from_environment(NEEDED | {"AB_RANDOMIZED": "true"})
    assert silent.bucket_of([], None) is None
    assert silent.bucket_of([b"u1"], None) == silent.bucket("u1")
    assert silent.bucket_of([], b"false") == "none"


def test_the_environment_says_who_it_is() -> None:
    given_all = {
        "AB_BUCKETS": "16",
        "AB_KEY": "X-Account",
        "AB_OUTCOMES": "accuracy, revenue,clicks",
        "AB_KINDS": "accuracy=binary,clicks=amount",
        "AB_MODELS": "iris,wine",
    }
    outcomes = {"accuracy": "binary", "revenue": "number", "clicks": "amount"}
    variant = Variant.from_environment(NEEDED | given_all)
    assert variant == Variant(
        "control", "salt-1", 16, "x-account", outcomes, models=("iris", "wine")
    )
    assert Variant.from_environment(NEEDED) == Variant("control", "salt-1", 64, "x-user-id", {})
    assert Limits.from_environment({}) == Limits(16 * 1024 * 1024, admin=False)
    assert Limits.from_environment({"AB_MAX_BODY_BYTES": "5", "AB_ADMIN": "true"}) == Limits(
        5, admin=True
    )


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
        ({"AB_OUTCOMES": "accuracy", "AB_KINDS": "accuracy"}, "AB_KINDS"),
        ({"AB_OUTCOMES": "accuracy", "AB_KINDS": "accuracy=most"}, "AB_KINDS"),
        ({"AB_OUTCOMES": "accuracy", "AB_KINDS": "clicks=amount"}, "AB_KINDS"),
        ({"AB_MODELS": "iris,"}, "AB_MODELS"),
    ],
)
def test_a_wrong_environment_is_named(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(StartError, match=f"^{named}"):
        Variant.from_environment(NEEDED | wrong)


@pytest.mark.parametrize(
    "wrong", [{"AB_MAX_BODY_BYTES": "0"}, {"AB_MAX_BODY_BYTES": "16MB"}, {"AB_ADMIN": "1"}]
)
def test_a_wrong_limit_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(StartError, match=f"^{next(iter(wrong))}"):
        Limits.from_environment(wrong)
