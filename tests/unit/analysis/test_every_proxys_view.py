"""What clients did not get is seen by whatever proxy counts: each platform's counters in turn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from _client_platforms import as_counted_by
from _client_worlds import NAMES, Counted, World, experiment_of

from abctl.analysis.judge import judge
from abctl.analysis.meaning import meaning
from abctl.core.analysis import Analysis
from abctl.core.experiment import Source
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Series
from abctl.spec.lint import warnings
from abctl.stats.estimate import Estimate

pytestmark = pytest.mark.slow

PLATFORMS = ("nginx", "istio", "gateway", "kserve", "seldon", "seldon2")


@pytest.fixture(autouse=True)
def _upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects of platforms say what counters call each variant."""
    names = {name: (f"upstream-of-{name}",) for name in NAMES}
    monkeypatch.setattr("abctl.spec.measurement._upstreams", lambda *_: names)


def analysis(platform: str, world: World) -> Analysis:
    experiment, ledger = experiment_of(world)
    experiment = replace(experiment, platform=platform)
    ledger = replace(ledger, plan=locked_plan(experiment, meaning(experiment)))
    asked = telemetry(experiment)
    assert asked.clients is not None
    counted = Counted(world, seed=1)
    counted.__dict__["all"] = as_counted_by(asked.clients, counted.all)
    return judge(gather(experiment, ledger, counted, asked))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_requests_that_die_with_their_process_never_ship(platform: str) -> None:
    found = analysis(platform, World("3% die", lost=0.03))
    assert found.verdict.kind in ("stop", "continue")
    for variant, lost in zip(found.variants, (0.0, 0.03), strict=True):
        answers = variant.answers
        assert answers is not None
        assert answers.view == "clients"
        assert answers.failed / (answers.good + answers.failed) == pytest.approx(lost, abs=0.005)


def by_grpc(preset: str, counted: Counted) -> list[Series]:
    """What the world's proxy counted, if every request was a call of gRPC: each is an HTTP 200."""
    classes = {"2": "0", "4": "3", "5": "13"}
    found = []
    for series in counted.all:
        digit = series.labels.get("envoy_response_code_class", "")
        name = series.labels.get("envoy_cluster_name", "")
        if not digit:
            continue
        for metric, labels in (
            ("envoy_cluster_upstream_rq_completed", {"envoy_cluster_name": f"{name}_grpc"}),
            (f"envoy_cluster_grpc_{classes[digit]}", {"envoy_cluster_name": f"{name}_grpc"}),
            (
                "istio_requests_total",
                {
                    "reporter": "source",
                    "destination_service": f"upstream-of-{name}",
                    "response_code": "200",
                    "grpc_response_status": classes[digit],
                },
            ),
        ):
            if metric.startswith(preset):
                head = {"__name__": metric, "job": "proxy", "instance": "proxy:1", "of": digit}
                found.append(Series({**head, **labels}, series.times, series.values))
    return found


@pytest.mark.parametrize("preset", ["envoy", "istio"])
def test_a_proxy_alone_sees_errors_of_grpc_by_their_status(preset: str) -> None:
    # So many users that their requests are as those of nobody.
    world = World("3% fail in the server", errors=0.03, users=100_000)
    experiment, ledger = experiment_of(world, unit="request")
    [_, errors, _] = experiment.metrics
    experiment = replace(
        experiment, platform=preset, metrics=(errors,), source=Source("file", {}, preset)
    )
    ledger = replace(ledger, plan=locked_plan(experiment, meaning(experiment)))
    counted = Counted(world, seed=1)
    counted.__dict__["all"] = by_grpc(preset, counted)
    found = judge(gather(experiment, ledger, counted, telemetry(experiment)))
    effect = found.metrics[0].comparisons[0].effect
    assert isinstance(effect, Estimate)
    assert effect.effect == pytest.approx(0.03, abs=0.005)
    assert found.verdict.kind == "stop"
    assert "grpcUnseen" not in {remark.code for remark in found.metrics[0].remarks}


@pytest.mark.parametrize(
    ("platform", "preset"),
    [("nginx", "nginx"), ("gateway", "envoy-gateway"), ("grpcroute", "envoy-gateway")],
)
@pytest.mark.parametrize("of", ["errors", "server_errors"])
def test_a_proxy_that_sees_no_errors_of_grpc_is_named(platform: str, preset: str, of: str) -> None:
    """By lint and beside the metric, also where it only stands beside the servers."""
    experiment, ledger = experiment_of(World("better, else alike", hours=0.2))
    [primary, errors, _] = experiment.metrics
    metrics = (primary, replace(errors, of=of))
    running = replace(experiment, platform=platform, metrics=metrics)
    ledger = replace(ledger, plan=locked_plan(running, meaning(running)))
    counted = Counted(World("better, else alike", hours=0.2), seed=1)
    found = judge(gather(running, ledger, counted, telemetry(running)))
    told = [r.facts["preset"] for r in found.metrics[1].remarks if r.code == "grpcUnseen"]
    assert told == ([preset] if of == "errors" and platform != "grpcroute" else [])
    alone = replace(running, source=Source("file", {}, preset))
    warned = [each for each in warnings(alone) if "errors of gRPC" in each]
    assert len(warned) == 1
    assert preset in warned[0]


PODS = 8


def by_pod(counted: list[Series], lost: Callable[[int], float]) -> list[Series]:
    """Each variant's proxies as those of its pods, by the share of what is lost that each loses."""
    found = []
    for series in counted:
        if series.labels.get("job") != "proxy":
            found.append(series)
            continue
        unanswered = any("503" in value for value in series.labels.values())
        for pod in range(PODS):
            part = np.floor(series.values * lost(pod) if unanswered else series.values / PODS)
            labels = {**series.labels, "instance": f"pod-{pod}:1"}
            if "treatment" not in str(series.labels):
                labels["instance"] = f"other-{pod}:1"
            found.append(Series(labels, series.times, part))
    return found


@pytest.mark.parametrize("platform", ["kserve", "seldon"])
@pytest.mark.parametrize("alone", [True, False])
def test_one_bad_pod_of_many_proves_no_harm_of_the_variant_and_is_named(
    platform: str, *, alone: bool
) -> None:
    """As many requests are lost in both worlds: by one pod, or by all of them."""
    world = World("3% die", lost=0.03)
    experiment, ledger = experiment_of(world)
    experiment = replace(experiment, platform=platform)
    ledger = replace(ledger, plan=locked_plan(experiment, meaning(experiment)))
    asked, counted = telemetry(experiment), Counted(world, seed=1)
    assert asked.clients is not None
    share = (lambda pod: float(pod == 0)) if alone else (lambda _: 1.0 / PODS)
    counted.__dict__["all"] = by_pod(as_counted_by(asked.clients, counted.all), share)
    found = judge(gather(experiment, ledger, counted, asked))
    codes = {reason.code for reason in found.verdict.reasons}
    assert ("otherViewHarm" in codes) is not alone
    assert found.verdict.kind == ("continue" if alone else "stop")
    named = [r.facts["instance"] for r in found.notes if r.code == "oneInstance"]
    assert named == (["pod-0:1"] if alone else [])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_server_that_is_dead_never_ships_and_is_named(platform: str) -> None:
    world = World("dead", dead_after_seconds=3600.0, scraped_dead=False)
    found = analysis(platform, world)
    assert found.verdict.kind in ("stop", "invalid")
    silent = [r for r in (*found.verdict.reasons, *found.notes) if r.code == "noGoodAnswer"]
    assert [reason.facts["variant"] for reason in silent] == ["treatment"]
