"""What abctl tells servers and collectors is what they take, and their pages are as it foresees."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from ab_runtime.clients.counting import Counting
from ab_runtime.collector.settings import Settings
from ab_runtime.counters import Counters
from ab_runtime.variant import Variant
from abctl.core import server
from abctl.core.collector import Place, settings
from abctl.core.experiment import Experiment, Metric
from abctl.core.outcome import PAGE_BYTES, Outcome
from abctl.spec.lint import warnings as unwise


@pytest.mark.parametrize("name", ["control", "treatment"])
@pytest.mark.parametrize("buckets", [8, 64, 1024])
@pytest.mark.parametrize("told", [("click",), ("click", "spent", "returned")])
def test_the_size_of_a_servers_page_is_foreseen(
    make_experiment: Callable[..., Experiment], name: str, buckets: int, told: tuple[str, ...]
) -> None:
    metrics = tuple(Metric(of, "primary", "mean", of, "increase") for of in told)
    experiment = replace(make_experiment(buckets=buckets), metrics=metrics, source=None)
    kinds = dict.fromkeys(told, "number")
    page = Counters(Variant(name, "salt-1", buckets=buckets, outcomes=kinds)).page()
    assert server.page_bytes(experiment, name) == pytest.approx(len(page), rel=0.05)
    said = [each for each in unwise(experiment) if "page of the servers" in each]
    assert len(said) == (len(page) > PAGE_BYTES)


@pytest.mark.parametrize("names", [("control", "treatment"), ("a", "candidate-b", "c", "d")])
@pytest.mark.parametrize("buckets", [8, 64, 512])
def test_the_size_of_the_page_of_the_access_log_is_foreseen(
    make_experiment: Callable[..., Experiment], names: tuple[str, ...], buckets: int
) -> None:
    shares = (10_000 - 100 * (len(names) - 1), *(100 for _ in names[1:]))
    experiment = replace(make_experiment(*names, shares_bp=shares, buckets=buckets), source=None)
    page = Counting(names, Variant(names[0], "salt-1", buckets=buckets)).page()
    assert server.clients_page_bytes(experiment) == pytest.approx(len(page), rel=0.05)
    said = [each for each in unwise(experiment) if "page of the access log's reader" in each]
    assert len(said) == (len(page) > PAGE_BYTES)


def test_a_collector_takes_what_it_is_told(make_experiment: Callable[..., Experiment]) -> None:
    spent = Outcome("spent", "number", "many", 86_400.0, cap=500.0, early_seconds=(3600.0,))
    back = Outcome("back", "return", maturity_seconds=172_800.0, after_seconds=86_400.0)
    metrics = (
        Metric("basket", "primary", "mean", "spent", "increase", maturity_seconds=86_400.0),
        Metric("retained", "secondary", "retention", "back", "increase", per="user"),
    )
    experiment = replace(make_experiment(), metrics=metrics, outcomes=(spent, back))
    told = settings(experiment, Place("keys", "memory", "127.0.0.1", 1))
    taken = Settings.model_validate_json(json.dumps(told)).outcomes
    assert [(each.name, each.of, each.kind, each.cap) for each in taken] == [
        ("spent", None, "number", 500.0),
        ("spent@3600s", "spent", "number", 500.0),
        ("back", None, "return", None),
    ]
