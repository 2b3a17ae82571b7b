"""The counters: all there from the start, and sums that statistics can trust."""

from collections.abc import Callable
from itertools import pairwise, product

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

from ab_runtime.counters import Counters
from ab_runtime.table import EDGES_SECONDS
from ab_runtime.variant import Variant

VARIANT = Variant(
    "control", "salt-1", buckets=4, outcomes={"accuracy": "binary", "revenue": "number"}
)
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
Value = Callable[..., float]


def page(counters: Counters) -> Series:
    families = text_string_to_metric_families(counters.page())
    samples = [sample for family in families for sample in family.samples]
    return {(each.name, frozenset(each.labels.items())): each.value for each in samples}


@pytest.fixture
def counters() -> Counters:
    made = Counters(VARIANT)
    made.expect([0, 1, 2])
    return made


@pytest.fixture
def value(counters: Counters) -> Value:
    def read(name: str, **labels: str) -> float:
        return page(counters)[name, frozenset({"variant": "control", **labels}.items())]

    return read


def test_every_series_is_there_at_zero(counters: Counters) -> None:
    buckets, outcomes = ("0", "1", "2", "3", "none"), ("accuracy", "revenue")
    edges = [*(f"{edge}" for edge in EDGES_SECONDS), "+Inf"]
    wanted = {
        "ab_start_time_seconds": [{}],
        "ab_requests_total": [
            {"bucket": b, "code": c} for b, c in product(buckets, ("2xx", "4xx", "5xx", "none"))
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
        "ab_group_request_duration_seconds_bucket": [
            {"group": g, "le": edge} for g, edge in product(buckets[:4], edges)
        ],
        **{
            f"ab_group_request_duration_seconds_{what}": [{"group": g} for g in buckets[:4]]
            for what in ("count", "sum")
        },
        **{
            f"ab_bucket_request_duration_seconds_{what}_total": [{"bucket": b} for b in buckets[:4]]
            for what in ("count", "sum", "sumsq")
        },
    }
    before = page(counters)
    assert set(before) == {
        (name, frozenset({"variant": "control", **labels}.items()))
        for name, all_labels in wanted.items()
        for labels in all_labels
    }
    assert {v for (name, _), v in before.items() if name != "ab_start_time_seconds"} == {0.0}
    counters.request("3", "5xx")
    counters.compared(0.1, [0, 2])
    counters.outcome("none", "revenue", -1.0, None)
    assert set(page(counters)) == set(before)


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


def test_the_latency_of_units_is_counted_by_bucket_and_by_group_of_buckets() -> None:
    counters = Counters(Variant("control", "salt-1", buckets=64))
    for seconds, bucket in ((0.5, "3"), (0.25, "19"), (0.125, "none")):
        counters.compared(seconds, [], bucket)
    found = page(counters)

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset({"variant": "control", **labels}.items())]

    name = "ab_group_request_duration_seconds"
    assert [value(f"{name}_count", group=str(g)) for g in range(16)] == [0.0] * 3 + [2.0] + 12 * [0]
    assert value(f"{name}_sum", group="3") == 0.75
    assert [value(f"{name}_bucket", group="3", le=le) for le in ("0.2", "0.25", "+Inf")] == [
        0,
        1,
        2,
    ]
    name = "ab_bucket_request_duration_seconds"
    assert value(f"{name}_count_total", bucket="19") == 1
    assert value(f"{name}_sum_total", bucket="19") == 0.25
    assert value(f"{name}_sumsq_total", bucket="3") == 0.25
    assert value("ab_request_duration_seconds_count") == 3


def test_a_page_of_many_outcomes_is_small() -> None:
    outcomes = dict.fromkeys(("accuracy", "click", "revenue", "rating", "retention"), "number")
    counters = Counters(Variant("treatment", "salt-1", outcomes=outcomes))
    for each in range(10_000):
        counters.compared(each * 1e-4 / 3.0, [], str(each % 64))
    assert len(counters.page()) < 500_000


def test_a_repeated_id_counts_once_for_an_outcome(counters: Counters, value: Value) -> None:
    assert counters.outcome("0", "accuracy", 1.0, "f1")
    assert not counters.outcome("0", "accuracy", 1.0, "f1")
    assert counters.outcome("0", "revenue", 9.0, "f1")
    assert counters.outcome("0", "accuracy", 1.0, "f2")
    assert value("ab_outcome_count_total", bucket="0", outcome="accuracy") == 2
    assert value("ab_feedback_duplicates_total") == 1


def test_known_classes_and_whole_numbers_are_counted(counters: Counters, value: Value) -> None:
    counters.compared(0.1, [1, 1, 7, "x", 0.5])
    assert [value("ab_predictions_total", **{"class": c}) for c in "0127"] == [0, 2, 0, 1]
    assert {c for n, c in page(counters) if n == "ab_predictions_total"} == {
        frozenset({"variant": "control", "class": c}.items()) for c in "0127"
    }


def test_classes_that_a_model_makes_up_stay_few(counters: Counters) -> None:
    for each in range(1000):
        counters.compared(0.1, [each])
    assert len([n for n, _ in page(counters) if n == "ab_predictions_total"]) == 64


def test_both_formats_are_read_by_the_clients_own_parsers() -> None:
    variant = Variant('a"b\\c', "salt-1", buckets=2, outcomes={"revenue": "number"})
    counters = Counters(variant)
    counters.request("1", "2xx")
    counters.compared(0.004, [])
    counters.outcome("1", "revenue", -2.5, None)
    plain = {
        (each.name, *sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(counters.page())
        for each in family.samples
    }
    opened = {
        (each.name, *sorted(each.labels.items())): each.value
        for family in open_metrics(counters.page(open_metrics=True) + "# EOF\n")
        for each in family.samples
    }
    assert plain == opened
    assert {dict(key[1:])["variant"] for key in plain} == {variant.name}
