"""One server, one variant, one population: what is told apart, and what is refused."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from held import held

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.experiment import Assignment, Design, Experiment, Metric, Model, Source, Variant
from abctl.core.ledger import Entry, Ledger
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.delta import Delta
from abctl.stats.estimate import NotEstimable

START, STEP = 1_700_000_000.0, 15.0
NAMES = ("control", "treatment")
HALF = Split(NAMES, (5000, 5000))
EDGES = ("0.005", "0.025", "0.1", "0.5", "+Inf")
LATENCY = Metric(
    "p95", "guardrail", "quantile", "latency", "decrease", margin=Delta(0.5, True), quantile=0.95
)
PRIMARY = Metric("errors", "primary", "proportion", "errors", "decrease")


@dataclass
class Pods:
    """Pods of MLServer by variant; how many requests of each cell of the histogram a scrape adds.

    Attributes:
        cells: by variant and pod.
        others: requests of another model on every pod, a scrape.
        restarts: pods that start anew in the middle.
    """

    cells: dict[str, dict[str, list[int]]]
    others: int = 0
    restarts: tuple[str, ...] = ()
    place: str = "pods"
    times: Any = field(default_factory=lambda: np.arange(START - 60.0, START + 3600.0, STEP))

    def now(self) -> float:
        return float(self.times[-1])

    def outline(self, selector: str, edges: Any, since: float) -> Outline:
        return outline_of(self, selector, edges, since)

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        return held(self._all(), selector, start, end)

    def _all(self) -> list[Series]:
        found = []
        for variant, pods in self.cells.items():
            for pod, cells in pods.items():
                head = {"job": "mlserver", "instance": pod, "variant": variant}
                # Every process has a story of its own; what is the same is one process.
                rng = np.random.default_rng(list(pod.encode()))
                steps = np.cumsum(rng.integers(1, 4, self.times.size)).astype(float)
                began = np.full(self.times.size, START - 900.0 - rng.integers(100))
                if pod in self.restarts:
                    middle = self.times.size // 2
                    steps[middle:] -= steps[middle]
                    began[middle:] = self.times[middle] - 1.0

                def add(name: str, values: Any, head: Any = head, **labels: str) -> None:
                    found.append(Series({"__name__": name, **head, **labels}, self.times, values))

                add("process_start_time_seconds", began)
                add("model_infer_request_duration_count", sum(cells) * steps, model="iris")
                if self.others:
                    other = self.others * steps
                    add("model_infer_request_duration_count", other, model="other")
                path = {"path": "/v2/models/{model_name}/infer", "status_code": "200"}
                for le, upto in zip(EDGES, np.cumsum(cells), strict=True):
                    name = "rest_server_request_duration_seconds_bucket"
                    add(name, upto * steps, le=le, **path)
        return found


def analysis(pods: Pods) -> Analysis:
    experiment = Experiment(
        "iris",
        "models",
        "inferencegraph",
        Assignment("request", "x-user-id", "iris-1"),
        tuple(Variant(name, Model("iris", name)) for name in NAMES),
        HALF,
        (PRIMARY, LATENCY),
        Source("prometheus", {}, "mlserver"),
        Design(min_duration_seconds=600.0, max_duration_seconds=86_400.0, settle_seconds=30.0),
    )
    ledger = Ledger(locked_plan(experiment)).with_entry(
        Entry(START, "me", None, HALF, "", "applied")
    )
    return judge(gather(experiment, ledger, pods, telemetry(experiment)))


FAST, SLOW = [20, 60, 20, 0, 0], [0, 0, 20, 80, 0]


def test_the_server_that_alone_breaks_a_guardrail_is_named() -> None:
    pods = {"t1:8082": FAST, "t2:8082": FAST, "t3:8082": SLOW}
    control = {f"c{i}:8082": FAST for i in range(len(pods))}
    found = analysis(Pods({"control": control, "treatment": pods}))
    assert found.metrics[1].comparisons[0].proven("harm")
    [told] = [note for note in found.notes if note.code == "oneInstance"]
    assert (told.facts["metric"], told.facts["instance"]) == ("p95", "t3:8082")
    assert told.facts["others_value"] <= 0.1
    assert told.facts["instance_value"] > 0.4


def test_where_all_servers_are_slow_none_is_named() -> None:
    pods = {"t1:8082": SLOW, "t2:8082": SLOW}
    control = {f"c{i}:8082": FAST for i in range(len(pods))}
    found = analysis(Pods({"control": control, "treatment": pods}))
    assert found.metrics[1].comparisons[0].proven("harm")
    assert "oneInstance" not in {note.code for note in found.notes}


@pytest.mark.parametrize("others", [0, 60])
def test_a_latency_of_all_models_of_a_server_is_refused_for_one_of_them(others: int) -> None:
    alike = {"control": {"c1:8082": FAST}, "treatment": {"t1:8082": FAST}}
    found = analysis(Pods(alike, others=others))
    [latency] = [metric for metric in found.metrics if metric.name == "p95"]
    effect = latency.comparisons[0].effect
    refused = isinstance(effect, NotEstimable) and effect.why.code == "otherPopulation"
    assert refused == bool(others)
    assert (found.variants[1].latency_p95_seconds is None) == bool(others)
    assert found.verdict.kind != "ship"


def test_restarts_of_one_variant_alone_are_told() -> None:
    alike = {"control": {"c1:8082": FAST}, "treatment": {"t1:8082": FAST}}
    alone = analysis(Pods(alike, restarts=("t1:8082",)))
    [told] = [note for note in alone.notes if note.code == "restartsAlone"]
    assert told.facts["variant"] == "treatment"
    both = analysis(Pods(alike, restarts=("t1:8082", "c1:8082")))
    assert "restartsAlone" not in {note.code for note in both.notes}
