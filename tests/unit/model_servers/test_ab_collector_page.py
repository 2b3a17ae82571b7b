"""The collector's page: what it says, how large it is, and how long it takes."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ab_runtime.collector.page import Page
from ab_runtime.collector.settings import Settings
from ab_runtime.collector.store import Store
from abctl.core.collector import Place, of_users, settings
from abctl.core.experiment import Experiment, Metric
from abctl.core.outcome import PAGE_BYTES, Outcome, page_bytes

pytestmark = pytest.mark.slow

MOST_OF_LIBRARY = 0.7  # by itself 0.2 to 0.35
VARIANTS = ("control", "treatment", "challenger")
OUTCOMES = ("purchase", "revenue", "returned", "complaint")


def page_of(folder: Path, *, by_users: bool) -> Page:
    """One whose every bucket has counts."""
    per = ["outcome", "user"] if by_users else ["outcome"]
    outcomes = [{"name": o, "kind": "number", "maturitySeconds": 60, "per": per} for o in OUTCOMES]
    text = {"variants": VARIANTS, "buckets": 64, "outcomes": outcomes, "keys": "", "memory": ""}
    return filled(folder, {**text, "port": 1})


def filled(folder: Path, told: Mapping[str, Any]) -> Page:
    """The page of a collector that is told so."""
    settings = Settings.model_validate_json(json.dumps(told))
    store = Store(folder / "memory.db", {o.name: o.outcome for o in settings.outcomes}, 0)
    rows = [
        (p, o.name, v, str(b), 123_456 + b, 12_345, 1_234_567.25, 0.0, 123_456_789.125)
        for o in settings.outcomes
        for p in o.per
        for v in settings.variants
        for b in range(settings.buckets)
    ]
    store._db.executemany("INSERT INTO counts VALUES (?,?,?,?,?,?,?,?,?)", rows)
    ages = [
        (o.name, v, group, hit, cell, 1234 + group)
        for o in settings.outcomes
        for v in settings.variants
        for group in range(16)
        for hit in (0, 1)
        for cell in range(3)
    ]
    store._db.executemany("INSERT INTO ages VALUES (?,?,?,?,?,?)", ages)
    return Page(settings, store)


class Families(Collector):
    """What a page says, for the library to write."""

    def __init__(self, text: bytes) -> None:
        self.families = list(text_string_to_metric_families(text.decode()))

    def collect(self) -> Iterator[Family]:
        yield from self.families


def part_of_library(page: Page) -> float:
    """The processor's time for a page, as a part of what the library takes to write the same."""
    library = CollectorRegistry()
    library.register(Families(page.text()))
    ways: list[Callable[[], bytes]] = [page.text, lambda: generate_latest(library)]
    took: list[list[float]] = [[], []]
    for turn in range(10):
        way = turn % 2
        for each in (way, 1 - way):
            began = time.thread_time()
            ways[each]()
            took[each].append(time.thread_time() - began)
    return min(took[0]) / min(took[1])


@pytest.mark.parametrize("by_users", [False, True])
def test_the_size_is_foreseen_and_the_page_is_quick(tmp_path: Path, by_users: bool) -> None:
    page = page_of(tmp_path, by_users=by_users)
    assert part_of_library(page) < MOST_OF_LIBRARY
    text = page.text()
    outcomes = [Outcome(name, "number") for name in OUTCOMES]
    foreseen = page_bytes(outcomes, VARIANTS, 64, OUTCOMES if by_users else ())
    assert len(text) == pytest.approx(foreseen, rel=0.1)
    assert (len(text) < PAGE_BYTES) is not by_users


def test_a_page_of_early_ages_caps_returns_and_many_variants_is_foreseen_too(
    tmp_path: Path, make_experiment: Callable[..., Experiment]
) -> None:
    names = ("control", *(f"treatment-{i}" for i in range(4)))
    outcomes = (
        Outcome("spent", "number", "many", early_seconds=(600.0, 3600.0), cap=500.0),
        Outcome("back", "return", after_seconds=600.0),
    )
    metrics = (
        Metric("revenue", "primary", "mean", "spent", "increase", per="user"),
        Metric("retained", "secondary", "retention", "back", "increase", per="user"),
    )
    made = make_experiment(*names, shares_bp=(2000,) * 5, buckets=32)
    experiment = replace(made, outcomes=outcomes, metrics=metrics)
    page = filled(tmp_path, settings(experiment, Place("", "", "0.0.0.0", 1)))
    size = len(page.text())
    assert size == pytest.approx(page_bytes(outcomes, names, 32, of_users(experiment)), rel=0.1)
    assert part_of_library(page) < MOST_OF_LIBRARY


def test_every_bucket_has_its_lines_from_the_start(tmp_path: Path) -> None:
    text = page_of(tmp_path, by_users=True).text().decode()
    families = {each.name: each for each in text_string_to_metric_families(text)}
    for name in ("ab_outcome", "ab_user_outcome"):
        for part, times in (("count", 1), ("hits", 1), ("sum", 2), ("sumsq", 1)):
            family = families[f"{name}_{part}"]
            assert family.type == "counter"
            assert len(family.samples) == times * len(OUTCOMES) * len(VARIANTS) * 65
    samples = {
        (s.labels["bucket"], s.labels["outcome"], s.labels["variant"]): s.value
        for s in families["ab_outcome_count"].samples
    }
    assert samples["7", "revenue", "treatment"] == 123_463
    assert samples["none", "revenue", "treatment"] == 0
    buckets = families["ab_outcome_age_seconds"].samples
    assert len(buckets) == len(OUTCOMES) * len(VARIANTS) * 16 * 2 * 3
    upto = {
        s.labels["le"]: s.value
        for s in buckets
        if (s.labels["outcome"], s.labels["variant"], s.labels["group"], s.labels["hit"])
        == ("revenue", "treatment", "3", "no")
    }
    # Of a maturity of a minute, and added up.
    assert upto == {"3.75": 1237, "30": 2474, "+Inf": 3711}
    assert families["process_start_time_seconds"].samples[0].value == 0
