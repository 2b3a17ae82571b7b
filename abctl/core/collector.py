"""The collector of an experiment, in a cluster or beside a local stack: what it is told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abctl.core.change import COLLECTOR, EXPERIMENT, Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.outcome import Outcome

# In its folder, or the Secret that is mounted.
KEYS, MEMORY = "keys.json", "memory.db"


@dataclass(frozen=True)
class Place:
    """Where a collector has its files, and where it listens.

    >>> Place(keys="/keys/keys.json", memory="/memory/memory.db", host="0.0.0.0", port=8090).port
    8090
    """

    keys: str
    memory: str
    host: str
    port: int


def settings(experiment: Experiment, place: Place) -> Mapping[str, Any]:
    """What the collector of an experiment is told (its file collector.json)."""
    return {
        "variants": list(experiment.split.names),
        "buckets": experiment.assignment.buckets,
        "outcomes": [
            {
                "name": counted.name,
                **({} if counted.name == outcome.name else {"of": outcome.name}),
                "kind": counted.kind,
                "times": counted.times,
                "maturitySeconds": counted.maturity_seconds,
                "windowSeconds": counted.window_seconds,
                **({} if counted.cap is None else {"cap": counted.cap}),
                **_after(counted),
                "per": _per(experiment, outcome),
            }
            for outcome in experiment.outcomes
            for counted in outcome.counted
        ],
        "keys": place.keys,
        "memory": place.memory,
        "host": place.host,
        "port": place.port,
    }


def is_made(experiment: Experiment) -> bool:
    """Whether abctl makes it in a cluster: there are outcomes, and images that tell it of users."""
    return bool(experiment.outcomes) and any(each.model.image for each in experiment.served)


def collector_name(experiment: Experiment) -> str:
    """What its objects in a cluster are called."""
    return f"{experiment.name}-collector"


def keys_of(experiment: Experiment) -> Ref:
    """The Secret with its keys: never rendered, and no part of what abctl applies or reads."""
    return Ref("v1", "Secret", experiment.namespace, f"{collector_name(experiment)}-keys")


def keys_object(experiment: Experiment, *, unit: str, signing: str) -> Object:
    """That Secret, with two keys in hex: one that hashes users, and one that signs."""
    ref = keys_of(experiment)
    labels = {EXPERIMENT: experiment.name} | COLLECTOR
    content = {"unit": unit, "signing": {"a": signing}, "current": "a"}
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace, "labels": labels},
        "stringData": {KEYS: json.dumps(content)},
    }


def _after(outcome: Outcome) -> dict[str, float]:
    return {} if outcome.after_seconds is None else {"afterSeconds": outcome.after_seconds}


def of_users(experiment: Experiment) -> frozenset[str]:
    """The outcomes that are counted by user: those for which a metric asks."""
    asked = (m for m in experiment.by_counters.metrics if m.per == "user")
    return frozenset(name for metric in asked for name in (metric.of, metric.over) if name)


def _per(experiment: Experiment, outcome: Outcome) -> list[str]:
    """What is counted of an outcome: reports, and users where a metric asks for them."""
    if outcome.kind == "return":
        return ["user"]
    return ["outcome", "user"] if outcome.name in of_users(experiment) else ["outcome"]
