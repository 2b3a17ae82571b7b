"""A page of metrics is a picture of one moment, whoever counts meanwhile."""

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ab_runtime.counters import Counters
from ab_runtime.variant import Variant


@pytest.mark.slow
def test_a_page_never_shows_half_of_an_outcome() -> None:
    counters = Counters(Variant("a", salt="s", buckets=2, outcomes={"accuracy": "number"}))
    done = threading.Event()

    def count() -> None:
        while not done.is_set():
            counters.outcome("0", "accuracy", 1.0, None)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(200):
            page = {
                sample.name: sample.value
                for family in text_string_to_metric_families(counters.page())
                for sample in family.samples
                if sample.labels.get("bucket") == "0" and sample.labels.get("sign") != "negative"
            }
            assert page["ab_outcome_count_total"] == page["ab_outcome_sum_total"]
            assert page["ab_outcome_count_total"] == page["ab_outcome_sumsq_total"]
    finally:
        done.set()
        thread.join()
    assert page["ab_outcome_count_total"] > 0
