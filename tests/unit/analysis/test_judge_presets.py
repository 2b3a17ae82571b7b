"""Judgements of the counters of proxies, which are not those of abctl's runtime."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis, MetricResult
from abctl.core.experiment import Cohort, Design, Experiment, Metric, Model, Source, Variant
from abctl.core.ledger import Entry, Ledger
from abctl.core.reasons import Reason
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import open_source
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Remark
from abctl.stats.srm import SrmResult

STEP, STEPS = 15.0, 400
ERRORS = Metric(
    "errors", "guardrail", "proportion", "errors", "decrease", margin=Delta(0.02, False)
)
LATENCY = Metric(
    "p95", "guardrail", "quantile", "latency", "decrease", margin=Delta(0.5, True), quantile=0.95
)
REQUESTS = 30
EDGES_MS = ("0.5", "1", "5", "10", "+Inf")


class Proxy:
    """Counters of a proxy that sends as many requests to both variants; none fails."""

    def __init__(
        self,
        name: str,
        duration: str,
        reporters: tuple[str, ...] = ("source",),
        **by_variant: dict[str, str],
    ) -> None:
        self.reporters = reporters
        rng = np.random.default_rng(3)
        self.times = time.time() - STEP * np.arange(STEPS)[::-1]
        self.lines: list[list[str]] = [[] for _ in self.times]
        for labels in by_variant.values():
            each = np.cumsum(rng.poisson(REQUESTS, STEPS))
            self._add(name, each, **labels, response_code="200", envoy_response_code_class="2")
            self._add("envoy_cluster_upstream_rq_completed", each, **labels)
            self._add(duration.replace("_bucket", "_sum"), 4 * each, **labels, response_code="200")
            faster = each * 9 // 10
            for le, values in zip(EDGES_MS, (0 * each, 0 * each, faster, each, each), strict=True):
                self._add(duration, values, **labels, le=le, response_code="200")

    def _add(self, name: str, values: NDArray[np.int64], **labels: str) -> None:
        every = [{"reporter": each, **labels} for each in self.reporters]
        for told in (",".join(f'{k}="{v}"' for k, v in each.items()) for each in every):
            self._write(name, values, told)

    def _write(self, name: str, values: NDArray[np.int64], told: str) -> None:
        for lines, value in zip(self.lines, values, strict=True):
            lines.append(f"{name}{{{told}}} {value}")

    def write(self, path: Path) -> None:
        pages = zip(self.times, self.lines, strict=True)
        head = {"job": "proxy", "instance": "proxy:1"}
        documents = [{"at": at, **head, "samples": lines} for at, lines in pages]
        path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))


def istio(*reporters: str) -> Proxy:
    host = "iris-{}.models.svc.cluster.local"
    return Proxy(
        "istio_requests_total",
        "istio_request_duration_milliseconds_bucket",
        reporters or ("source",),
        **{v: {"destination_service": host.format(v)} for v in ("control", "treatment")},
    )


def envoy() -> Proxy:
    return Proxy(
        "envoy_cluster_upstream_rq_xx",
        "envoy_cluster_upstream_rq_time_bucket",
        **{v: {"envoy_cluster_name": v} for v in ("control", "treatment")},
    )


Analyze = Callable[[Experiment, Proxy], Analysis]


@pytest.fixture
def analysis(tmp_path: Path) -> Analyze:
    def analyze(experiment: Experiment, proxy: Proxy) -> Analysis:
        proxy.write(tmp_path / "pages.jsonl")
        source = open_source("scrape", {"file": str(tmp_path / "pages.jsonl")})
        start = float(proxy.times[4])
        applied = Entry(start, "me", None, experiment.split, "test", "applied")
        ledger = Ledger(locked_plan(experiment)).with_entry(applied)
        return judge(gather(experiment, ledger, source, telemetry(experiment)))

    return analyze


def named(found: Analysis, name: str) -> MetricResult:
    return next(metric for metric in found.metrics if metric.name == name)


@pytest.fixture
def ask(make_experiment: Callable[..., Experiment]) -> Callable[..., Experiment]:
    def make(platform: str, unit: str = "request", **rules: Any) -> Experiment:
        made = make_experiment(shares_bp=(5000, 5000), unit=unit, buckets=16, **rules)
        return dataclasses.replace(
            made,
            platform=platform,
            metrics=(ERRORS, LATENCY),
            variants=tuple(
                Variant(v.name, Model("iris", "v1", service=f"iris-{v.name}"))
                for v in made.variants
            ),
            source=Source("prometheus", {}, platform),
            design=Design(min_duration_seconds=600, max_duration_seconds=7200, settle_seconds=30),
        )

    return make


@pytest.fixture
def _hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {v: (f"iris-{v}.models.svc.cluster.local",) for v in ("control", "treatment")}
    monkeypatch.setattr("abctl.spec.measurement._upstreams", lambda *_: hosts)


@pytest.mark.usefixtures("_hosts")
def test_errors_that_never_came_are_none_and_prove_the_margin(
    ask: Callable[..., Experiment], analysis: Analyze
) -> None:
    found = analysis(ask("istio"), istio())
    assert found.preset == "istio"
    (errors,) = named(found, "errors").comparisons
    assert isinstance(errors.effect, Estimate)
    assert errors.effect.control == errors.effect.treatment == 0
    assert errors.proven("non-inferior")
    assert [variant.error_ratio for variant in found.variants] == [0, 0]
    assert isinstance(found.srm, SrmResult)
    assert not found.srm.mismatch
    selected = found.variants[0].selectors
    assert selected["requests"]["n"] == (
        'istio_requests_total{reporter=~"source|waypoint",'
        'destination_service="iris-control.models.svc.cluster.local"}'
    )
    assert set(selected) == {"requests", "errors", "latency", "latencyMean"}
    assert selected["latencyMean"]["sum"].startswith("istio_request_duration_milliseconds_sum{")
    assert found.remarks["latency"].startswith("by the calling proxy")


def test_milliseconds_come_out_as_seconds(
    ask: Callable[..., Experiment], analysis: Analyze
) -> None:
    found = analysis(ask("envoy"), envoy())
    (latency,) = named(found, "p95").comparisons
    assert isinstance(latency.effect, Estimate)
    assert 0.005 <= latency.effect.control <= 0.010
    assert found.variants[0].latency_p50_seconds == pytest.approx(0.0032, abs=0.0003)
    assert found.variants[0].latency_p95_seconds == pytest.approx(0.0075, abs=0.0003)
    assert found.variants[0].latency_mean_seconds == pytest.approx(0.004)
    assert found.variants[0].outside is None


@pytest.mark.slow
@pytest.mark.usefixtures("_hosts")
def test_what_was_not_drawn_keeps_the_split_unchecked(
    ask: Callable[..., Experiment], analysis: Analyze
) -> None:
    assert isinstance(analysis(ask("envoy"), envoy()).srm, SrmResult)
    forced = analysis(ask("envoy", override="x-force"), envoy())
    assert isinstance(forced.srm, NotEstimable)
    assert forced.srm.why == Remark("notOnlyExposures", {"preset": "envoy"})
    assert Reason("notOnlyDrawn") in named(forced, "errors").remarks
    chosen = analysis(
        ask("envoy", cohorts=(Cohort("x-cohort", "beta", variant="treatment"),)), envoy()
    )
    assert isinstance(chosen.srm, NotEstimable)
    counter = 'envoy_cluster_upstream_rq_completed{envoy_cluster_name="$variant"}'
    own = {"n": counter, "successes": counter}
    clicks = dataclasses.replace(ERRORS, name="clicks", of="clicks", selectors=own)
    # Feedback has clusters of its own in Envoy; Istio's destinations get it as they get the rest.
    fed_back = analysis(dataclasses.replace(ask("envoy"), metrics=(ERRORS, clicks)), envoy())
    assert isinstance(fed_back.srm, SrmResult)
    fed_back = analysis(dataclasses.replace(ask("istio"), metrics=(ERRORS, clicks)), istio())
    assert isinstance(fed_back.srm, NotEstimable)


@pytest.mark.usefixtures("_hosts")
@pytest.mark.parametrize("reporters", [("source",), ("waypoint",), ("source", "waypoint")])
def test_istio_counts_once_whoever_reports(
    ask: Callable[..., Experiment], analysis: Analyze, reporters: tuple[str, ...]
) -> None:
    found = analysis(ask("istio"), istio(*reporters))
    assert isinstance(found.srm, SrmResult)
    for variant in found.variants:
        assert variant.requests is not None
        assert 0.9 < variant.requests / (REQUESTS * STEPS) < 1.0


def test_users_are_not_taken_for_requests(
    ask: Callable[..., Experiment], analysis: Analyze
) -> None:
    found = analysis(ask("envoy", unit="user"), envoy())
    (errors,) = named(found, "errors").comparisons
    assert isinstance(errors.effect, NotEstimable)
    assert errors.effect.why.code == "noBucketLabel"
    assert not any(claim.proven for claim in errors.claims)
    assert isinstance(found.srm, NotEstimable)
    (latency,) = named(found, "p95").comparisons
    assert isinstance(latency.effect, Estimate)
    assert Reason("unitsIgnored", {"assignment_unit": "user"}) in named(found, "p95").remarks
