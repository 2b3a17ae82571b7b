"""What `doctor` says of a source: one thing wrong at a time."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from abctl.core.change import Ref
from abctl.core.experiment import Design, Experiment, Metric
from abctl.core.outcome import Outcome
from abctl.core.selector import Selector
from abctl.doctor.check import Check
from abctl.doctor.evidence import examine
from abctl.doctor.world import deeds
from abctl.errors import SourceError
from abctl.session.analyze import telemetry
from abctl.sources import Outline, Series
from abctl.stats.estimate import Delta

NOW = 1_700_000_000.0
DESIGN = Design(max_duration_seconds=7 * 86_400.0, settle_seconds=60.0)
SERVERS = ("ab_requests_total", "ab_outcome_count_total", "ab_outcome_sum_total")
ACCURACY = Metric(
    "accuracy", "primary", "proportion", "accuracy", "increase", mde=Delta(0.02, False)
)


@dataclass
class Page:
    """A source with one target a variant, scraped every 15 seconds until `age` ago."""

    interval: float = 15.0
    age: float = 5.0
    ahead: float = 0.0
    kept: float | None = 15 * 86_400.0
    without: str = "nothing"
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)
    doubled: bool = False
    broken: bool = False
    place: str = "a made-up source"

    def now(self) -> float:
        if self.broken:
            raise SourceError("nothing answers at http://prometheus", "is it up?")
        return NOW + self.ahead

    def retention_seconds(self) -> float | None:
        return self.kept

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        raise NotImplementedError

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        assert end - start == 600.0
        wanted = Selector.parse(selector)
        times = np.arange(end - self.age, start, -self.interval)[::-1]
        return [
            Series(labels, times, np.arange(len(times)) * 1.0)
            for labels in self._labels()
            if wanted.matches(labels) and self.without not in " ".join(labels.values())
        ]

    def _labels(self) -> list[dict[str, str]]:
        jobs = ("models", "models-again") if self.doubled else ("models",)
        return [
            {"__name__": name, "variant": variant, "instance": variant, "job": job}
            | {"bucket": "0", "code": "2xx", "outcome": "accuracy", "sign": "positive"}
            | dict(self.extra)
            for variant in ("control", "treatment")
            for name in (*SERVERS, "ab_client_requests_total")
            for job in jobs
        ]


@pytest.fixture
def found(make_experiment: Callable[..., Experiment]) -> Callable[..., dict[str, Check]]:
    def look(**page: Any) -> dict[str, Check]:
        made = make_experiment(shares_bp=(5000, 5000))
        experiment = dataclasses.replace(made, metrics=(ACCURACY,), design=DESIGN, source=None)
        checks = examine(experiment, Page(**page), telemetry(experiment), clock=lambda: NOW)
        return {check.name: check for check in checks}

    return look


Found = Callable[..., dict[str, Check]]


def test_a_source_that_has_everything(found: Found) -> None:
    checks = found()
    assert {check.level for check in checks.values()} == {"ok"}
    assert set(checks) == {
        "source",
        "clock",
        "metric requests",
        "metric accuracy",
        "access log",
        "scrapes",
        "labels",
        "retention",
    }


@pytest.mark.parametrize(
    ("page", "name", "level", "code", "facts"),
    [
        ({"broken": True}, "source", "error", "failed", {"error": "SourceError"}),
        ({"ahead": 60.0}, "clock", "error", "sourceClockApart", {"ahead_seconds": 60.0}),
        ({"ahead": -60.0}, "clock", "error", "sourceClockApart", {"ahead_seconds": -60.0}),
        ({"without": "treatment"}, "metric requests", "error", "seriesMissing", {}),
        ({"without": "ab_outcome_count_total"}, "metric accuracy", "error", "seriesMissing", {}),
        ({"without": "ab_outcome_sum_total"}, "metric accuracy", "warning", "noEventYet", {}),
        (
            {"without": "ab_client_requests_total"},
            "access log",
            "warning",
            "accessLogNotScraped",
            {},
        ),
        ({"doubled": True}, "metric requests", "error", "scrapedTwice", {"instance": "control"}),
        ({"age": 300.0}, "scrapes", "error", "scrapesEnded", {"age_seconds": 300.0}),
        (
            {"interval": 120.0},
            "scrapes",
            "warning",
            "settleTooShort",
            {"interval_seconds": 120.0, "settle_seconds": 60.0},
        ),
        ({"interval": 900.0}, "scrapes", "warning", "scrapedOnce", {}),
        (
            {"extra": {"exported_variant": "a"}},
            "labels",
            "warning",
            "labelsHidden",
            {"labels": ["exported_variant"]},
        ),
        (
            {"kept": 86_400.0},
            "retention",
            "error",
            "retentionTooShort",
            {"kept_seconds": 86_400.0, "max_duration_seconds": 7 * 86_400.0},
        ),
        ({"kept": None}, "retention", "warning", "retentionUnknown", {"place": Page.place}),
    ],
)
def test_one_thing_that_is_wrong(
    found: Found, *, page: dict[str, Any], name: str, level: str, code: str, facts: dict[str, Any]
) -> None:
    check = found(**page)[name]
    assert (check.level, check.reason.code) == (level, code)
    assert facts.items() <= check.reason.facts.items()
    assert check.hint


@pytest.mark.parametrize(
    ("lost", "codes"), [({}, ["collectorNotScraped"]), ({"what": "lost"}, ["collectorLost"])]
)
def test_a_collector_is_read_and_has_its_first_memory(
    make_experiment: Callable[..., Experiment], lost: dict[str, str], codes: list[str]
) -> None:
    class Collecting(Page):
        def _labels(self) -> list[dict[str, str]]:
            where = [{"variant": v, "instance": "collector"} for v in ("control", "treatment")]
            told = [{"__name__": "ab_feedback_total", "job": "c", **at, **lost} for at in where]
            return super()._labels() + told

    made = make_experiment(shares_bp=(5000, 5000))
    outcomes = (Outcome("accuracy", "binary"),)
    experiment = dataclasses.replace(
        made, metrics=(ACCURACY,), design=DESIGN, source=None, outcomes=outcomes
    )
    checks = list(examine(experiment, Collecting(), telemetry(experiment), clock=lambda: NOW))
    found = [check for check in checks if check.name == "collector counts"]
    assert [check.reason.code for check in found] == codes
    assert {check.level for check in found} == {"error"}
    # Without outcomes there is no collector to look for.
    bare = dataclasses.replace(experiment, outcomes=())
    names = [c.name for c in examine(bare, Page(), telemetry(bare), clock=lambda: NOW)]
    assert "collector counts" not in names


def test_an_apply_creates_the_keys_of_a_collector_and_does_no_more_with_them() -> None:
    target, ledger, made, keys = (
        Ref("v1", kind, "models", "iris") for kind in ("Service", "ConfigMap", "Service", "Secret")
    )
    takes = {deed.name: deed.takes for deed in deeds(target, ledger, [made], keys)}
    assert [verb for verb, ref in takes["apply"] if ref == keys] == ["create"]
    assert all(ref != keys for name in ("look", "shift") for _, ref in takes[name])


def test_what_is_kept_for_ever_is_kept_long_enough(found: Found) -> None:
    check = found(kept=math.inf)["retention"]
    assert (check.level, check.reason.code) == ("ok", "retentionUnlimited")


def test_what_is_missing_is_named_with_its_variant(found: Found) -> None:
    check = found(without="treatment")["metric requests"]
    (missing,) = check.reason.facts["missing"]
    assert missing["variant"] == "treatment"
    assert missing["selector"].startswith("ab_requests_total{")
