"""The routes of a VirtualService: where requests go, and which headers they get."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abctl.core.change import Object
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import _weighted
from abctl.platforms._envoy_routes import ASK_FOR_VARIANT, RANDOMIZED, VARIANT
from abctl.platforms._workload import Backend

_FEEDBACK = {"exact": "/feedback"}

Json = dict[str, Any]
Backends = Mapping[str, Backend]


def routes(experiment: Experiment, backends: Backends) -> list[Json]:
    """All routes, with the split that the experiment starts with."""
    return [
        *_feedback(experiment, backends),
        *_fixed(experiment, backends),
        {
            "name": _weighted.SPLIT,
            **_drawn(backends, experiment.split, "true"),
            **_copied(experiment, backends),
        },
    ]


def _copied(experiment: Experiment, backends: Backends) -> Json:
    if (shadow := experiment.shadow) is None:
        return {}
    where, share = _destination(backends[shadow.name]), {"value": shadow.percent}
    return {"mirror": where, "mirrorPercentage": share}


def _feedback(experiment: Experiment, backends: Backends) -> Iterator[Json]:
    for name in experiment.split.names:
        match = {"uri": _FEEDBACK, "headers": {VARIANT: {"exact": name}}}
        yield {"match": [match], "route": [_to(backends, name)]}
    refused = {"status": 400, "body": {"string": ASK_FOR_VARIANT}}
    yield {"match": [{"uri": _FEEDBACK}], "directResponse": refused}


def _fixed(experiment: Experiment, backends: Backends) -> Iterator[Json]:
    rules = experiment.assignment
    alone = {name: Split((name,), (10_000,)) for name in experiment.split.names}
    if rules.override is not None:
        for name in experiment.split.names:
            match = {"headers": {rules.override: {"exact": name}}}
            yield {"match": [match], **_drawn(backends, alone[name], "false")}
    for cohort in rules.cohorts:
        split = cohort.split if cohort.variant is None else alone[cohort.variant]
        if split is not None:
            match = {"headers": {cohort.header: {"exact": cohort.value}}}
            yield {"match": [match], **_drawn(backends, split, "false")}


def _drawn(backends: Backends, split: Split, randomized: str) -> Json:
    several = len(split.names) > 1
    return {
        "headers": {"request": {"set": {RANDOMIZED: randomized}}},
        "route": [
            {**_to(backends, name), **({"weight": split[name]} if several else {})}
            for name in split.names
        ],
    }


def _to(backends: Backends, name: str) -> Json:
    return {
        "destination": _destination(backends[name]),
        "headers": {"response": {"set": {VARIANT: name}}},
    }


def _destination(where: Backend) -> Json:
    return {"host": where.host, "port": {"number": where.port}}


def splitting(obj: Object) -> list[Json]:
    """The routes that carry the split: the one called so, or all with several destinations.

    Raises:
        ClusterError: there are none, or they have different destinations.
    """
    every: list[Json] = obj.get("spec", {}).get("http") or []
    return _weighted.splitting(obj, every, _targets, ("route", "destinations"))


def destinations(obj: Object) -> list[str]:
    """What the split is between: subsets where the host is always the same, otherwise hosts.

    Raises:
        ClusterError: no route splits, or several split differently.
    """
    return _targets(splitting(obj)[0])


def _targets(route: Json) -> list[str]:
    every: Sequence[Json] = [each["destination"] for each in route.get("route") or ()]
    if len({each["host"] for each in every}) == 1 and all(each.get("subset") for each in every):
        return [each["subset"] for each in every]
    return ["/".join(filter(None, (each["host"], each.get("subset")))) for each in every]


def objections(obj: Object) -> tuple[str, ...]:
    """What Istio's webhook says against a VirtualService, beyond what its schema does."""
    found = []
    if obj["kind"] == "VirtualService":
        for route in obj.get("spec", {}).get("http") or ():
            weights = [each.get("weight", 0) for each in route.get("route") or ()]
            if any(weight < 0 for weight in weights):
                found.append(f"weight {min(weights)} < 0")
            if len(weights) > 1 and not sum(weights):
                found.append("total destination weight = 0")
    return tuple(found)
