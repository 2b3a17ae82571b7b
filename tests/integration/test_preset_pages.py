"""Presets against the real pages of MLServer and Envoy: every selector finds what was done."""

import os
import signal
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
import yaml
from api_server import DEADLINE_SECONDS as SECONDS
from api_server import path_from

from abctl.core.experiment import Experiment, Metric, Source
from abctl.core.polls import Window, cut
from abctl.core.selector import alone
from abctl.evidence.read import read
from abctl.evidence.summaries import summarize
from abctl.local import stack
from abctl.local.identity import wait_for
from abctl.metrics.queries import MEAN, MetricQueries
from abctl.session.analyze import telemetry
from abctl.sources import Series
from abctl.sources.prometheus import Prometheus
from abctl.spec import load
from abctl.stats.summary import Histogram

ABCTL = Path(sysconfig.get_path("scripts")) / "abctl"
MODELS = Path(__file__).parents[2] / "model_servers"
# As many as take a server milliseconds, however fast it is: Envoy counts whole ones.
MANY = 5000
FLOWERS = {
    "name": "predict",
    "shape": [MANY, 4],
    "datatype": "FP32",
    "data": MANY * [5.1, 3.5, 1.4, 0.2],
}
VARIANTS = ("control", "treatment")
ERRORS = Metric("errors", "guardrail", "proportion", "errors", "decrease")
LATENCY = Metric("p95", "guardrail", "quantile", "latency", "decrease", quantile=0.95)


def metrics(of: str) -> dict[str, str]:
    return {"name": of, "role": "primary", "kind": "proportion", "of": of, "direction": "increase"}


@dataclass
class World:
    """A local stack, and what was asked of it."""

    experiment: Experiment
    running: stack.Stack
    source: Prometheus
    answers: Counter[tuple[str, int]]

    def ask(self, user: str, rows: object = FLOWERS, path: str = "iris") -> None:
        answer = requests.post(
            f"{self.running.entrance_url}/v2/models/{path}/infer",
            timeout=SECONDS,
            json={"inputs": [rows]},
            headers={"x-user-id": user},
        )
        self.answers[answer.headers["x-ab-variant"], answer.status_code] += 1

    def telemetry(self, preset: str) -> MetricQueries:
        return telemetry(replace(self.experiment, source=Source("prometheus", {}, preset)))

    def latest(self, selector: str) -> list[Series]:
        now = self.source.now()
        return [
            series for each in alone(selector) for series in self.source.series(each, now - 30, now)
        ]

    def total(self, selector: str) -> float:
        return sum(float(series.values[-1]) for series in self.latest(selector))

    def everything(self, preset: str, variant: str) -> str:
        """What counts every request of a variant: the last bucket of its latency."""
        (histogram,) = self.telemetry(preset).parts(LATENCY, variant).values()
        return histogram.replace("}", ',le="+Inf"}')

    def comes_to(self, selector: str, count: float) -> bool:
        return wait_for(lambda: self.total(selector) == count, SECONDS)

    def counted(self, variant: str, *codes: int) -> int:
        return sum(n for (v, code), n in self.answers.items() if v == variant and code in codes)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("presets")
    spec = {
        "platform": "envoy",
        "assignment": {"unit": "user", "key": "x-user-id", "salt": "s", "buckets": 8},
        "variants": [
            {"name": name, "split": "50%", "model": {"name": "iris", "version": version}}
            for name, version in zip(VARIANTS, ("v1", "v2"), strict=True)
        ],
        "metrics": [metrics("accuracy")],
    }
    head = {"apiVersion": "abctl.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": "iris"}}
    file = folder / "iris.yaml"
    file.write_text(yaml.safe_dump(head | {"spec": spec}))
    state = folder / "state"
    command = [str(ABCTL), "local", "up", str(file), "--models", str(MODELS), "--state", str(state)]
    own = os.environ | {"ABCTL_PROMETHEUS": path_from("debian", "prometheus")}
    subprocess.run(command, check=True, cwd=folder, timeout=SECONDS, capture_output=True, env=own)
    try:
        running = stack.read(state)
        assert running.prometheus_url
        made = World(load(file), running, Prometheus(running.prometheus_url), Counter())
        # What a page says when it is seen first did not happen then.
        assert made.comes_to("up", len(running.servers) + 2)
        for user in range(60):
            made.ask(f"user-{user}")
        yield made
    finally:
        down = [str(ABCTL), "local", "down", "--state", str(state)]
        subprocess.run(down, check=True, cwd=folder, timeout=SECONDS, capture_output=True)


@pytest.mark.parametrize("preset", ["abctl", "mlserver", "envoy", "access-log"])
def test_every_selector_finds_its_variant_and_nothing_else(world: World, preset: str) -> None:
    asked = world.telemetry(preset)
    expected = {variant: world.counted(variant, 200) for variant in VARIANTS}
    assert all(expected.values())
    for variant in VARIANTS:
        totals, everything = asked.totals(variant), world.everything(preset, variant)
        for selector in (totals["requests"]["n"], totals["errors"]["n"], everything):
            assert world.comes_to(selector, expected[variant]), selector
        # The sum of as many latencies, between a hundredth of a millisecond and a second each.
        unit = asked.preset.latency_unit_seconds
        mean_seconds = world.total(totals[MEAN]["sum"]) * unit / expected[variant]
        assert 0.00001 < mean_seconds < 1


@pytest.mark.parametrize("preset", ["mlserver", "envoy", "access-log"])
def test_latency_comes_out_in_seconds(world: World, preset: str) -> None:
    asked = world.telemetry(preset)
    for variant in VARIANTS:
        assert world.comes_to(world.everything(preset, variant), world.counted(variant, 200))
    now = world.source.now()
    window = Window(0, now - 600, now)  # from before the first request
    for variant in VARIANTS:
        parts = asked.parts(LATENCY, variant)
        samples = read(world.source, [window], parts.values(), now)
        grid = cut([window], 600)
        found = summarize(
            "quantile", samples, parts, grid, unit_seconds=asked.unit_seconds(LATENCY)
        )
        assert isinstance(found, Histogram)
        # Both have edges between a millisecond and ten seconds, whatever they are counted in.
        assert 0.00009 < found.edges[0] < 0.006
        assert 9 < found.edges[-1] < 21


def test_a_page_without_an_error_has_none_and_the_first_one_is_found(world: World) -> None:
    failed = {
        preset: {v: world.telemetry(preset).parts(ERRORS, v)["successes"] for v in VARIANTS}
        for preset in ("mlserver", "envoy", "access-log")
    }
    for by_variant in failed.values():
        for selector in by_variant.values():
            assert world.total(selector) == 0
    # The model refuses this, and says so; then its server is gone, and Envoy answers.
    wrong = FLOWERS | {"shape": [1, 3], "data": [1.0, 2.0, 3.0]}
    for user in range(20):
        world.ask(f"user-{user}", wrong)
    refused = {v: world.counted(v, 400) for v in VARIANTS}
    assert all(refused.values())
    for variant, count in refused.items():
        selector = failed["mlserver"][variant]
        assert world.comes_to(selector, count), selector
        assert world.total(failed["envoy"][variant]) == 0
        assert world.total(failed["access-log"][variant]) == 0
    (server,) = [p for p in world.running.processes if p.name == "mlserver-treatment"]
    os.kill(server.pid, signal.SIGKILL)
    for user in range(60):
        world.ask(f"user-{user}")
    assert (gone := world.counted("treatment", 503)) > 0
    assert world.comes_to(failed["envoy"]["treatment"], gone)
    assert world.comes_to(failed["access-log"]["treatment"], gone)
    assert world.total(failed["envoy"]["control"]) == 0
