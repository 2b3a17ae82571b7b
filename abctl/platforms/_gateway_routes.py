"""The rules of an HTTPRoute or a GRPCRoute: where requests go, and which headers they get.

Of rules that match, that with the more exact path wins, then the one with more headers, then the
first: so a forced variant comes before a cohort, and both before the split.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from abctl.core.assignment import VARIANT_HEADER
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import _entrance, _weighted
from abctl.platforms._envoy_routes import RANDOMIZED
from abctl.platforms._workload import GRPC, Backend, collector_backend, head

ROUTE_API = "gateway.networking.k8s.io/v1"
_MOST_WEIGHT = 1_000_000
_PARTS = 10_000
_MOST_RULES = 16

Json = dict[str, Any]
Backends = Mapping[str, Backend]


def spec(experiment: Experiment, backends: Backends) -> Json:
    """The spec of an HTTPRoute, with the split that the experiment starts with."""
    found = list(_feedback(experiment, backends))
    for way in _ways(experiment, backends):
        found += _rules(experiment, way)
    return {**_where(experiment), "rules": found}


def spec_grpc(experiment: Experiment, backends: Backends) -> Json:
    """The spec of a GRPCRoute: the same rules by method, without feedback, which is HTTP."""
    methods: list[Json] = [
        {"method": {"service": _entrance.SERVICE, "method": each}}
        for each in (*_entrance.METHODS, _entrance.STREAM)
    ]
    way = _Way(_weighted.SPLIT, methods, backends)
    return {**_where(experiment), "rules": list(_rules(experiment, way))}


def _where(experiment: Experiment) -> Json:
    entrance = experiment.entrance
    assert entrance is not None
    assert entrance.gateway is not None
    namespace, _, name = entrance.gateway.rpartition("/")
    parent = {"name": name, **({"namespace": namespace} if namespace else {})}
    hosts = {"hostnames": [entrance.host]} if entrance.host else {}
    return {"parentRefs": [parent], **hosts}


@dataclass(frozen=True)
class _Way:
    """One way that requests come in: what they ask for, where they go, and its split's name."""

    split: str
    asked: list[Json]
    backends: Backends


def _ways(experiment: Experiment, backends: Backends) -> Iterator[_Way]:
    yield _Way(_weighted.SPLIT, _paths(experiment, grpc=False), backends)
    if grpc(experiment):
        ports = {name: replace(where, port=GRPC) for name, where in backends.items()}
        yield _Way(_weighted.SPLIT_GRPC, _paths(experiment, grpc=True), ports)


def grpc(experiment: Experiment) -> bool:
    """Whether gRPC is routed: where servers take it, and the route has room for its rules."""
    rules, variants = experiment.assignment, len(experiment.variants)
    each = len(rules.cohorts) + variants * (rules.override is not None)
    each += 1 if rules.unit == "request" else 2
    feedback = 1 if experiment.outcomes else variants
    return _entrance.grpc(experiment) and feedback + 2 * each <= _MOST_RULES


def _paths(experiment: Experiment, *, grpc: bool) -> list[Json]:
    whole, patterns = _entrance.matches(grpc=grpc)
    exact = [{"type": "Exact", "value": each} for each in whole]
    if experiment.assignment.unit != "request":
        # Envoy Gateway, which is the only one that keeps users, has expressions.
        more = [{"type": "RegularExpression", "value": each} for each in patterns]
    else:
        more = [] if grpc else [{"type": "PathPrefix", "value": "/v2/models"}]
    return [{"path": each} for each in (*exact, *more)]


def _rules(experiment: Experiment, way: _Way) -> Iterator[Json]:
    rules, split = experiment.assignment, experiment.split
    yield from _fixed(experiment, way)
    has_key = {"type": "RegularExpression", "name": rules.key, "value": ".+"}
    match = [] if rules.unit == "request" else [has_key]
    drawn = {"name": way.split, **_drawn(experiment, way, split, match)}
    yield {**drawn, "filters": [*drawn["filters"], *_copied(experiment, way.backends)]}
    if match:
        # Who has no key is not in the experiment.
        yield _told("false", way, [], [_one(experiment, way.backends, split.control)])


def _fixed(experiment: Experiment, way: _Way) -> Iterator[Json]:
    rules = experiment.assignment
    if rules.override is not None:
        for name in experiment.split.names:
            match = [{"name": rules.override, "value": name}]
            yield _told("false", way, match, [_one(experiment, way.backends, name)])
    for cohort in rules.cohorts:
        match = [{"name": cohort.header, "value": cohort.value}]
        if cohort.variant is not None:
            yield _told("false", way, match, [_one(experiment, way.backends, cohort.variant)])
        elif cohort.split is not None:
            yield {
                **_drawn(experiment, way, cohort.split, match),
                "filters": [_tell("RequestHeaderModifier", RANDOMIZED, "false")],
            }


def _feedback(experiment: Experiment, backends: Backends) -> Iterator[Json]:
    path = {"path": {"type": "Exact", "value": _entrance.FEEDBACK}}
    if experiment.outcomes:
        # Its tokens say whose it is; without a collector here, a server passes it on to one.
        where = collector_backend(experiment) or backends[experiment.split.control]
        yield {"matches": [path], "backendRefs": [_address(experiment, where)]}
        return
    for name in experiment.split.names:
        match = {**path, "headers": [{"name": VARIANT_HEADER, "value": name}]}
        yield {"matches": [match], "backendRefs": [_one(experiment, backends, name)]}


def _drawn(experiment: Experiment, way: _Way, split: Split, match: list[Json]) -> Json:
    places = order(experiment)
    weights = _weighted.weights_of(places, split, _PARTS)
    refs = [
        {**_one(experiment, way.backends, variant), "weight": weight}
        for variant, weight in zip(places, weights, strict=True)
    ]
    return _told("true", way, match, refs)


def order(experiment: Experiment) -> list[str]:
    """The variants of the backends; with a hash each treatment has a region of its own."""
    names = experiment.split.names
    return list(names) if experiment.assignment.unit == "request" else _weighted.places(names)


def _told(randomized: str, way: _Way, match: list[Json], refs: list[Json]) -> Json:
    headers = {"headers": match} if match else {}
    return {
        "matches": [{**asked, **headers} for asked in way.asked],
        "filters": [_tell("RequestHeaderModifier", RANDOMIZED, randomized)],
        "backendRefs": refs,
    }


def _copied(experiment: Experiment, backends: Backends) -> Iterator[Json]:
    if shadow := experiment.shadow:
        to = {"backendRef": _address(experiment, backends[shadow.name]), "percent": shadow.percent}
        yield {"type": "RequestMirror", "requestMirror": to}


def _one(experiment: Experiment, backends: Backends, variant: str) -> Json:
    named = _tell("ResponseHeaderModifier", VARIANT_HEADER, variant)
    return {**_address(experiment, backends[variant]), "filters": [named]}


def _address(experiment: Experiment, where: Backend) -> Json:
    elsewhere = {} if where.namespace == experiment.namespace else {"namespace": where.namespace}
    return {"name": where.name, **elsewhere, "port": where.port}


def _tell(kind: str, header: str, value: str) -> Json:
    field = kind[0].lower() + kind[1:]
    return {"type": kind, field: {"set": [{"name": header, "value": value}]}}


def grants(experiment: Experiment, backends: Backends, kind: str) -> Iterator[Object]:
    """Leave for the route to reach Services in other namespaces, one object in each."""
    elsewhere: dict[str, list[str]] = {}
    for where in backends.values():
        if where.namespace != experiment.namespace:
            elsewhere.setdefault(where.namespace, []).append(where.name)
    for namespace, services in elsewhere.items():
        name = f"{experiment.name}-from-{experiment.namespace}"
        ref = Ref("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", namespace, name)
        group = ROUTE_API.partition("/")[0]
        source = {"group": group, "kind": kind, "namespace": experiment.namespace}
        to = [{"group": "", "kind": "Service", "name": s} for s in dict.fromkeys(services)]
        yield {**head(ref, experiment), "spec": {"from": [source], "to": to}}


def splitting(obj: Object, *, alike: bool = True) -> list[Json]:
    """The rules that carry the split; their weights may differ where they need not be `alike`.

    Raises:
        ClusterError: there are none, or they differ.
    """
    rules: list[Json] = obj.get("spec", {}).get("rules") or []
    # What every request has: a path, or for gRPC a method.
    usual = "method" if obj["kind"] == "GRPCRoute" else "path"
    reading = _weighted.Reading(
        words=("rule", "backends"),
        targets=lambda rule: called(places_of(obj, rule)),
        weights=lambda rule: [each.get("weight") for each in rule.get("backendRefs") or ()],
        narrow=lambda rule: any(not {*match} <= {usual} for match in rule.get("matches") or ()),
    )
    return _weighted.splitting(obj, rules, reading, alike=alike)


def places_of(obj: Object, rule: Json) -> list[Backend]:
    """What a rule sends requests to."""
    own = Ref.of(obj).namespace
    return [
        Backend(each.get("namespace") or own, each["name"], each.get("port", 0))
        for each in rule.get("backendRefs") or ()
    ]


def called(backends: Iterable[Backend]) -> list[str]:
    """The names of backends; where several have one name, also namespace or port."""
    return _weighted.shortest(
        (
            b.name,
            f"{b.namespace}/{b.name}",
            f"{b.name}:{b.port}",
            f"{b.namespace}/{b.name}:{b.port}",
        )
        for b in backends
    )


def weights(rule: Json) -> list[Any]:
    """The weights of a rule; without one it is 1."""
    return [backend.get("weight", 1) for backend in rule["backendRefs"]]


def objections(obj: Object) -> tuple[str, ...]:
    """What Gateway API's validation says against a route, beyond what its schema does."""
    if obj["kind"] not in ("HTTPRoute", "GRPCRoute"):
        return ()
    found = []
    for i, rule in enumerate(obj.get("spec", {}).get("rules") or ()):
        given = [backend.get("weight", 1) for backend in rule.get("backendRefs") or ()]
        sound = all(_weighted.is_weight(weight) and weight <= _MOST_WEIGHT for weight in given)
        if not sound:
            found.append(f"spec.rules[{i}]: a weight must be from 0 to {_MOST_WEIGHT}")
        elif given and not sum(given):
            found.append(f"spec.rules[{i}]: all weights are zero, so every request gets an error")
    return tuple(found)
