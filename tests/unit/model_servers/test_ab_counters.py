"""The counters: all there from the start, and sums that statistics can trust."""

from collections.abc import Callable
from itertools import pairwise, product

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ab_runtime.counters import EDGES_SECONDS, Counters
from ab_runtime.variant import Variant

VARIANT = Variant("control", "salt-1", buckets=4, outcomes=("accuracy", "revenue"))
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
Value = Callable[..., float]


def page(registry: CollectorRegistry) -> Series:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {(each.name, frozenset(each.labels.items())): each.value for each in samples}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def counters(registry: CollectorRegistry) -> Counters:
    made = Counters(VARIANT, registry)
    made.expect([0, 1, 2])
    return made


@pytest.fixture
def value(registry: CollectorRegistry) -> Value:
    def read(name: str, **labels: str) -> float:
        return page(registry)[name, frozenset({"variant": "control", **labels}.items())]

    return read


def test_every_series_is_there_at_zero(counters: Counters, registry: CollectorRegistry) -> None:
    buckets, outcomes = ("0", "1", "2", "3", "none"), ("accuracy", "revenue")
    edges = [*(f"{edge}" for edge in EDGES_SECONDS), "+Inf"]
    wanted = {
        "ab_requests_total": [
            {"bucket": b, "code": c} for b, c in product(buckets, ("2xx", "4xx", "5xx"))
        ],
        "ab_outcome_count_total": [
            {"bucket": b, "outcome": o} for b, o in product(buckets, outcomes)
        ],
        "ab_outcome_sumsq_total": [
            {"bucket": b, "outcome": o} for b, o in product(buckets, outcomes)
        ],
        "ab_outcome_sum_total": [
            {"bucket": b, "outcome": o, "sign": s}
            for b, o, s in product(buckets, outcomes, ("positive", "negative"))
        ],
        "ab_predictions_total": [{"class": c} for c in ("0", "1", "2")],
        "ab_feedback_duplicates_total": [{}],
        "ab_request_duration_seconds_sumsq_total": [{}],
        "ab_request_duration_seconds_count": [{}],
        "ab_request_duration_seconds_sum": [{}],
        "ab_request_duration_seconds_bucket": [{"le": edge} for edge in edges],
    }
    before = page(registry)
    assert set(before) == {
        (name, frozenset({"variant": "control", **labels}.items()))
        for name, all_labels in wanted.items()
        for labels in all_labels
    }
    assert set(before.values()) == {0.0}
    counters.request("3", "5xx")
    counters.compared(0.1, [0, 2])
    counters.outcome("none", "revenue", -1.0, None)
    assert set(page(registry)) == set(before)


def test_edges_are_fine_and_round() -> None:
    ratios = [b / a for a, b in pairwise(EDGES_SECONDS)]
    assert 1.2 < min(ratios) <= max(ratios) < 1.3
    assert (EDGES_SECONDS[0], EDGES_SECONDS[-1]) == (1e-05, 10.0)
    assert {0.00025, 0.001, 0.1, 0.25, 1.0} <= set(EDGES_SECONDS)


def test_moments_of_an_outcome(counters: Counters, value: Value) -> None:
    given = [3.5, -1.25, 0.0, 2.0]
    assert all(counters.outcome("2", "revenue", each, None) for each in given)
    of = {"bucket": "2", "outcome": "revenue"}
    assert value("ab_outcome_count_total", **of) == len(given)
    positive = value("ab_outcome_sum_total", **of, sign="positive")
    negative = value("ab_outcome_sum_total", **of, sign="negative")
    assert (positive, negative) == (5.5, 1.25)
    assert positive - negative == sum(given)
    assert value("ab_outcome_sumsq_total", **of) == sum(each * each for each in given)
    assert value("ab_outcome_count_total", bucket="1", outcome="revenue") == 0


def test_moments_of_the_latency(counters: Counters, value: Value) -> None:
    for seconds in (0.5, 0.25):
        counters.compared(seconds, [])
    assert value("ab_request_duration_seconds_count") == 2
    assert value("ab_request_duration_seconds_sum") == 0.75
    assert value("ab_request_duration_seconds_sumsq_total") == 0.3125
    assert value("ab_request_duration_seconds_bucket", le="0.25") == 1


def test_a_repeated_id_counts_once_for_an_outcome(counters: Counters, value: Value) -> None:
    assert counters.outcome("0", "accuracy", 1.0, "f1")
    assert not counters.outcome("0", "accuracy", 1.0, "f1")
    assert counters.outcome("0", "revenue", 9.0, "f1")
    assert counters.outcome("0", "accuracy", 1.0, "f2")
    assert value("ab_outcome_count_total", bucket="0", outcome="accuracy") == 2
    assert value("ab_feedback_duplicates_total") == 1


def test_only_known_classes_are_counted(counters: Counters, value: Value) -> None:
    counters.compared(0.1, [1, 1, 7, "x"])
    assert [value("ab_predictions_total", **{"class": c}) for c in "012"] == [0, 2, 0]
