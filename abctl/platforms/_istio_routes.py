"""The routes of a VirtualService: where requests go, and which headers they get."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from abctl.core.assignment import VARIANT_HEADER
from abctl.core.change import Object
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import _entrance, _weighted
from abctl.platforms._envoy_routes import ASK_FOR_VARIANT, RANDOMIZED
from abctl.platforms._workload import GRPC, Backend, collector_backend

_FEEDBACK = {"exact": _entrance.FEEDBACK}

Json = dict[str, Any]
Backends = Mapping[str, Backend]


def routes(experiment: Experiment, backends: Backends) -> list[Json]:
    """All routes, with the split that the experiment starts with."""
    found = [
        *_feedback(experiment, backends),
        *_routes(experiment, backends, _weighted.SPLIT),
    ]
    if _entrance.grpc(experiment):
        ports = {name: replace(where, port=GRPC) for name, where in backends.items()}
        found += _routes(experiment, ports, _weighted.SPLIT_GRPC)
    return found


def _routes(experiment: Experiment, backends: Backends, split: str) -> Iterator[Json]:
    paths = _entrance.paths(experiment, grpc=split == _weighted.SPLIT_GRPC)
    uri = {"uri": {"regex": paths}}
    yield from _fixed(experiment, backends, uri)
    yield {
        "name": split,
        "match": [uri],
        **_drawn(backends, experiment.split, "true"),
        **_copied(experiment, backends),
    }


def _copied(experiment: Experiment, backends: Backends) -> Json:
    if (shadow := experiment.shadow) is None:
        return {}
    where, share = _destination(backends[shadow.name]), {"value": shadow.percent}
    return {"mirror": where, "mirrorPercentage": share}


def _feedback(experiment: Experiment, backends: Backends) -> Iterator[Json]:
    if experiment.outcomes:
        # Its tokens say whose it is; without a collector here, a server passes it on to one.
        where = collector_backend(experiment) or backends[experiment.split.control]
        yield {"match": [{"uri": _FEEDBACK}], "route": [{"destination": _destination(where)}]}
        return
    for name in experiment.split.names:
        match = {"uri": _FEEDBACK, "headers": {VARIANT_HEADER: {"exact": name}}}
        yield {"match": [match], "route": [_to(backends, name)]}
    refused = {"status": 400, "body": {"string": ASK_FOR_VARIANT}}
    yield {"match": [{"uri": _FEEDBACK}], "directResponse": refused}


def _fixed(experiment: Experiment, backends: Backends, uri: Json) -> Iterator[Json]:
    rules = experiment.assignment
    alone = {name: Split((name,), (10_000,)) for name in experiment.split.names}
    if rules.override is not None:
        for name in experiment.split.names:
            headers = {"headers": {rules.override: {"exact": name}}}
            yield {"match": [{**uri, **headers}], **_drawn(backends, alone[name], "false")}
    for cohort in rules.cohorts:
        split = cohort.split if cohort.variant is None else alone[cohort.variant]
        if split is not None:
            headers = {"headers": {cohort.header: {"exact": cohort.value}}}
            yield {"match": [{**uri, **headers}], **_drawn(backends, split, "false")}


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
        "headers": {"response": {"set": {VARIANT_HEADER: name}}},
    }


def _destination(where: Backend) -> Json:
    return {"host": where.host, "port": {"number": where.port}}


def splitting(obj: Object, *, alike: bool = True) -> list[Json]:
    """The routes that carry the split; their weights may differ where they need not be `alike`.

    Raises:
        ClusterError: there are none, or they differ.
    """
    every: list[Json] = obj.get("spec", {}).get("http") or []
    reading = _weighted.Reading(
        words=("route", "destinations"),
        targets=targets,
        weights=lambda route: [each.get("weight") for each in route.get("route") or ()],
        narrow=lambda route: any(not {*m} <= {"uri", "name"} for m in route.get("match") or ()),
    )
    return _weighted.splitting(obj, every, reading, alike=alike)


def targets(route: Json) -> list[str]:
    """What a route splits between: subsets where the host is always the same, otherwise hosts."""
    every: Sequence[Json] = [each["destination"] for each in route.get("route") or ()]
    one = len({each["host"] for each in every}) == 1 and all(each.get("subset") for each in every)
    return _weighted.shortest(_forms(each, one_host=one) for each in every)


def _forms(destination: Json, *, one_host: bool) -> tuple[str, str]:
    host, subset = destination["host"], destination.get("subset")
    name = str(subset) if one_host else "/".join(filter(None, (host, subset)))
    return name, f"{name}:{(destination.get('port') or {}).get('number', '')}"


def objections(obj: Object) -> tuple[str, ...]:
    """What Istio's webhook says against a VirtualService, beyond what its schema does."""
    found = []
    if obj["kind"] == "VirtualService":
        for route in obj.get("spec", {}).get("http") or ():
            weights = [each.get("weight", 0) for each in route.get("route") or ()]
            found += [f"weight {each} < 0" for each in weights if not _weighted.is_weight(each)]
            if len(weights) > 1 and not sum(map(_weighted.whole, weights)):
                found.append("total destination weight = 0")
    return tuple(found)
