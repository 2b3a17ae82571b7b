"""Every preset, resolved for the worked experiment of a platform: the very selectors.

After a change that is meant run this file with ABCTL_GOLDEN=write, and read the difference.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.core.change import Object, Ref
from abctl.core.experiment import PARTS, Metric, Source
from abctl.core.selector import Selector, alone
from abctl.metrics import presets
from abctl.metrics.queries import MEAN
from abctl.platforms import platform
from abctl.session.analyze import telemetry
from abctl.spec import load
from abctl.spec.render import render

EXAMPLES = Path(__file__).parents[2] / "k8s/experiments"
GOLDEN = Path(__file__).parent / "preset_selectors.txt"
WHERE = {
    "abctl": "envoy",
    "access-log": "envoy",
    "mlserver": "inferencegraph",
    "seldon": "seldon",
    "seldon2": "seldon2",
    "knative": "kserve",
    "knative-legacy": "kserve",
    "istio": "istio",
    "envoy": "envoy",
    "envoy-gateway": "gateway",
    "nginx": "nginx",
}
REVISIONS = {
    "latestReadyRevision": "iris-predictor-00002",
    "latestRolledoutRevision": "iris-predictor-00001",
}
OF = ("errors", "latency", "accuracy")
METRICS = [
    Metric(of, "secondary", kind, of, "increase", quantile=0.95, over="orders")
    for of in OF
    for kind in PARTS
]


class World:
    """Holds the object that carries the split, as the platform reports it."""

    def __init__(self, carrier: Object) -> None:
        self.carrier = carrier

    def get(self, ref: Ref) -> Object:
        assert ref == Ref.of(self.carrier)
        return self.carrier


def resolved(name: str) -> dict[str, str]:
    """Everything that the preset has for the variants of the experiment."""
    experiment = load(EXAMPLES / f"{WHERE[name]}.yaml")
    experiment = replace(experiment, source=Source("prometheus", {}, name))
    target = platform(experiment.platform).target(experiment)
    carrier = dict(next(o for o in render(experiment) if Ref.of(o) == target))
    carrier["status"] = {"components": {"predictor": REVISIONS}}
    asked, found = telemetry(experiment, World(carrier)), {}  # type: ignore[arg-type]
    for variant in experiment.split.names:
        totals = asked.totals(variant)
        for total in ("requests", "outside", MEAN):
            found |= {f"{name} {variant} {total} {p}": s for p, s in totals.get(total, {}).items()}
        for metric in METRICS:
            if asked.measures(metric):
                of = f"{name} {variant} {metric.of} as {metric.kind}"
                found |= {f"{of} {p}": s for p, s in asked.parts(metric, variant).items()}
    return found


def test_every_preset_says_the_same_as_before() -> None:
    every = [(key, text) for name in presets.names() for key, text in resolved(name).items()]
    text = "".join(f"{key}:\n  {selector}\n" for key, selector in every)
    if os.environ.get("ABCTL_GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_every_preset_is_resolved_somewhere() -> None:
    assert set(WHERE) == set(presets.names())


@pytest.mark.parametrize("name", WHERE)
def test_no_series_is_of_both_variants(name: str) -> None:
    found = resolved(name)
    for key, text in found.items():
        assert all(map(Selector.parse, alone(text)))
        assert "$" not in text
        if " control " in key:
            assert text != found[key.replace(" control ", " treatment ")]
