"""The rules of an HTTPRoute: where requests go, and which headers they get.

Of rules that match, that with the more exact path wins, then the one with more headers, then the
first: so a forced variant comes before a cohort, and both before the split.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.platforms import _weighted
from abctl.platforms._envoy_routes import RANDOMIZED, VARIANT
from abctl.platforms._workload import Backend, head

ROUTE_API = "gateway.networking.k8s.io/v1"
_MOST_WEIGHT = 1_000_000
_PARTS = 10_000

Json = dict[str, Any]
Backends = Mapping[str, Backend]


def spec(experiment: Experiment, backends: Backends) -> Json:
    """The spec of the route, with the split that the experiment starts with."""
    entrance, rules, split = experiment.entrance, experiment.assignment, experiment.split
    assert entrance is not None
    assert entrance.gateway is not None
    namespace, _, name = entrance.gateway.rpartition("/")
    parent = {"name": name, **({"namespace": namespace} if namespace else {})}
    found = [
        *(
            {"matches": [_feedback(n)], "backendRefs": [_one(experiment, backends, n)]}
            for n in split.names
        ),
        *_fixed(experiment, backends),
    ]
    has_key = {"type": "RegularExpression", "name": rules.key, "value": ".+"}
    match = [] if rules.unit == "request" else [has_key]
    drawn = _drawn(experiment, backends, split, match, _weighted.SPLIT)
    found.append({**drawn, "filters": [*drawn["filters"], *_copied(experiment, backends)]})
    if match:
        # Who has no key is not in the experiment.
        found.append(_told("false", [], [_one(experiment, backends, split.control)]))
    return {
        "parentRefs": [parent],
        **({"hostnames": [entrance.host]} if entrance.host else {}),
        "rules": found,
    }


def _fixed(experiment: Experiment, backends: Backends) -> Iterator[Json]:
    rules = experiment.assignment
    if rules.override is not None:
        for name in experiment.split.names:
            match = [{"name": rules.override, "value": name}]
            yield _told("false", match, [_one(experiment, backends, name)])
    for cohort in rules.cohorts:
        match = [{"name": cohort.header, "value": cohort.value}]
        if cohort.variant is not None:
            yield _told("false", match, [_one(experiment, backends, cohort.variant)])
        elif cohort.split is not None:
            yield {
                **_drawn(experiment, backends, cohort.split, match, None),
                "filters": [_tell("RequestHeaderModifier", RANDOMIZED, "false")],
            }


def _feedback(name: str) -> Json:
    return {
        "path": {"type": "Exact", "value": "/feedback"},
        "headers": [{"name": VARIANT, "value": name}],
    }


def _drawn(
    experiment: Experiment, backends: Backends, split: Split, match: list[Json], name: str | None
) -> Json:
    places = order(experiment)
    weights = _weighted.weights_of(places, split, _PARTS)
    refs = [
        {**_one(experiment, backends, variant), "weight": weight}
        for variant, weight in zip(places, weights, strict=True)
    ]
    return {**({"name": name} if name else {}), **_told("true", match, refs)}


def order(experiment: Experiment) -> list[str]:
    """The variants of the backends; with a hash each treatment has a region of its own."""
    names = experiment.split.names
    return list(names) if experiment.assignment.unit == "request" else _weighted.places(names)


def _told(randomized: str, match: list[Json], refs: list[Json]) -> Json:
    path = {"type": "PathPrefix", "value": "/"}
    return {
        "matches": [{"path": path, **({"headers": match} if match else {})}],
        "filters": [_tell("RequestHeaderModifier", RANDOMIZED, randomized)],
        "backendRefs": refs,
    }


def _copied(experiment: Experiment, backends: Backends) -> Iterator[Json]:
    if shadow := experiment.shadow:
        to = {"backendRef": _address(experiment, backends[shadow.name]), "percent": shadow.percent}
        yield {"type": "RequestMirror", "requestMirror": to}


def _one(experiment: Experiment, backends: Backends, variant: str) -> Json:
    named = _tell("ResponseHeaderModifier", VARIANT, variant)
    return {**_address(experiment, backends[variant]), "filters": [named]}


def _address(experiment: Experiment, where: Backend) -> Json:
    elsewhere = {} if where.namespace == experiment.namespace else {"namespace": where.namespace}
    return {"name": where.name, **elsewhere, "port": where.port}


def _tell(kind: str, header: str, value: str) -> Json:
    field = kind[0].lower() + kind[1:]
    return {"type": kind, field: {"set": [{"name": header, "value": value}]}}


def grants(experiment: Experiment, backends: Backends) -> Iterator[Object]:
    """Leave for the route to reach Services in other namespaces, one object in each."""
    elsewhere: dict[str, list[str]] = {}
    for where in backends.values():
        if where.namespace != experiment.namespace:
            elsewhere.setdefault(where.namespace, []).append(where.name)
    for namespace, services in elsewhere.items():
        name = f"{experiment.name}-from-{experiment.namespace}"
        ref = Ref("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", namespace, name)
        group = ROUTE_API.partition("/")[0]
        source = {"group": group, "kind": "HTTPRoute", "namespace": experiment.namespace}
        to = [{"group": "", "kind": "Service", "name": s} for s in dict.fromkeys(services)]
        yield {**head(ref, experiment), "spec": {"from": [source], "to": to}}


def splitting(obj: Object) -> list[Json]:
    """The rules that carry the split: the one called so, or all with several backends.

    Raises:
        ClusterError: there are none, or they have different backends.
    """
    rules: list[Json] = obj.get("spec", {}).get("rules") or []
    return _weighted.splitting(obj, rules, _services, ("rule", "backends"))


def weights(obj: Object) -> list[int]:
    """The weights of the rules that carry the split; without one it is 1.

    Raises:
        ClusterError: no such rule, or they differ.
    """
    found = [[b.get("weight", 1) for b in rule["backendRefs"]] for rule in splitting(obj)]
    if any(each != found[0] for each in found):
        raise ClusterError(
            f"{Ref.of(obj)}: rules with the same backends have different weights",
            f"make them alike, or give the one that is meant `name: {_weighted.SPLIT}`",
        )
    return found[0]


def _services(rule: Json) -> list[tuple[str | None, str]]:
    return [(b.get("namespace"), b["name"]) for b in rule.get("backendRefs") or ()]


def objections(obj: Object) -> tuple[str, ...]:
    """What Gateway API's validation says against a route, beyond what its schema does."""
    if obj["kind"] != "HTTPRoute":
        return ()
    found = []
    for i, rule in enumerate(obj.get("spec", {}).get("rules") or ()):
        given = [backend.get("weight", 1) for backend in rule.get("backendRefs") or ()]
        if any(not 0 <= weight <= _MOST_WEIGHT for weight in given):
            found.append(f"spec.rules[{i}]: a weight must be from 0 to {_MOST_WEIGHT}")
        if given and not sum(given):
            found.append(f"spec.rules[{i}]: all weights are zero, so every request gets a 500")
    return tuple(found)
