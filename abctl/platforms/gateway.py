"""Gateway API: an HTTPRoute over the Services of the variants.

A variant is an image (Deployment and Service), a stored model (an InferenceService of KServe in
Standard mode), or a Service that is there already. Each backend has a filter of its own, so that
Envoy Gateway makes a cluster, and so statistics, of each variant.

Requests are drawn by any Gateway. To keep users where they are takes Envoy Gateway 1.9 or later: a
BackendTrafficPolicy makes it hash the key, without a salt: experiments with the same key and split
are not independent of each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import xxhash

from abctl import platforms
from abctl.core.assignment import Place, hashed, place_at
from abctl.core.change import Object, Ref
from abctl.core.experiment import Assignment, Experiment, Variant
from abctl.core.split import TOTAL_BP, Split
from abctl.platforms import (
    Capabilities,
    Misfit,
    _collector,
    _fit,
    _gateway_routes,
    _inference_service,
    _kserve_models,
    _weighted,
    _workload,
)
from abctl.platforms._gateway_routes import ROUTE_API


def _hashed_key(rules: Assignment, split: Split, unit: str) -> Place:  # noqa: ARG001 - no salt
    return place_at(split, xxhash.xxh64_intdigest(hashed(unit)) % TOTAL_BP)


def services(_: Experiment, obj: Object) -> Mapping[str, Ref]:
    """The Service behind each variant."""
    backends = _gateway_routes.splitting(obj, alike=False)[0]["backendRefs"]
    namespace = Ref.of(obj).namespace
    return {
        name: Ref("v1", "Service", backend.get("namespace") or namespace, backend["name"])
        for name, backend in zip(_names(obj), backends, strict=True)
        if backend.get("kind", "Service") == "Service"
    }


CAPABILITIES = Capabilities(
    parts=10_000,
    sticky=True,
    override=True,
    cohorts=True,
    shadow=True,
    max_variants=None,
    reports="conditions",
    entrance=True,
    draw=_hashed_key,
    salted=False,
    services=services,
    grpc=_gateway_routes.grpc,
    by_mlserver=_kserve_models.by_mlserver,
)
_MOST_BACKENDS = 16

baseline = _fit.no_baseline
objections = _gateway_routes.objections

Json = dict[str, Any]


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment an HTTPRoute cannot express."""
    regional = experiment.assignment.unit != "request"
    general = _fit.misfits("gateway", CAPABILITIES, experiment, regional=regional)
    return [
        *general,
        *unfit(experiment, "HTTPRoute"),
        *_kserve_models.misfits(experiment, "gateway"),
        *_kserve_models.other_protocols(experiment, "gateway"),
        *_workload.alike(experiment, "gateway"),
    ]


def unfit(experiment: Experiment, kind: str) -> Iterator[Misfit]:
    """What no route of Gateway API can express."""
    yield from _fit.address(experiment)
    gateway = experiment.entrance and experiment.entrance.gateway
    if not gateway:
        hint = "entrance: {gateway: namespace/name, host: iris.example.com}"
        yield Misfit(("entrance", "gateway"), f"is missing, an {kind} needs it", hint)
    for i, cohort in enumerate(experiment.assignment.cohorts):
        if cohort.split is not None and experiment.assignment.unit != "request":
            # Its rule would have to match the key too, and so come before the override's.
            message = "a split of users for a cohort, which gateway does not support"
            hint = "give the cohort a variant; envoy and nginx can split it"
            yield Misfit(("assignment", "cohorts", i, "split"), message, hint)
    if len(_gateway_routes.order(experiment)) > _MOST_BACKENDS:
        message = f"{len(experiment.variants)} given, a rule of an {kind} allows 16 backends"
        yield Misfit(("variants",), message, "for more variants: envoy")


def target(experiment: Experiment) -> Ref:
    """The HTTPRoute."""
    return Ref(ROUTE_API, "HTTPRoute", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """The variants' servers, leave to reach Services elsewhere, the HTTPRoute, and its policy.

    Raises:
        SpecError: Gateway API cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    backends = {v.name: _backend(experiment, v) for v in experiment.served}
    servers = [o for v in experiment.served for o in _servers(experiment, v)]
    spec = _gateway_routes.spec(experiment, backends)
    return routed(experiment, target(experiment), backends, servers, spec)


def routed(
    experiment: Experiment,
    ref: Ref,
    backends: Mapping[str, _workload.Backend],
    servers: Sequence[Object],
    spec: Json,
) -> list[Object]:
    """Servers, leave to reach Services elsewhere, a route, and its policy."""
    names = experiment.split.names
    called = _gateway_routes.called(backends[name] for name in names)
    route = _weighted.noted(_workload.head(ref, experiment), dict(zip(names, called, strict=True)))
    found = [*_collector.objects(experiment), *servers]
    found += _gateway_routes.grants(experiment, backends, ref.kind)
    if experiment.assignment.unit != "request":
        # Before the route, whose first requests would be drawn at random without it.
        found.append(_policy(experiment, ref))
    return [*found, {**route, "spec": spec}]


def _servers(experiment: Experiment, variant: Variant) -> list[Object]:
    model = variant.model
    if model.image or not model.uri:
        return _workload.servers(experiment, variant)
    name = _workload.named(experiment, variant.name)
    return [
        _inference_service.inference_service(experiment, variant, name, "Standard", silent=False)
    ]


def _backend(experiment: Experiment, variant: Variant) -> _workload.Backend:
    where, model = _workload.backend(experiment, variant), variant.model
    if model.image or not model.uri:
        return where
    service = _inference_service.predictor_service(_workload.named(experiment, variant.name))
    return _workload.Backend(experiment.namespace, service, 80)


def _policy(experiment: Experiment, route: Ref) -> Object:
    api = "gateway.envoyproxy.io/v1alpha1"
    ref = Ref(api, "BackendTrafficPolicy", route.namespace, route.name)
    group = ROUTE_API.partition("/")[0]
    return {
        **_workload.head(ref, experiment),
        "spec": {
            "targetRefs": [{"group": group, "kind": route.kind, "name": route.name}],
            "loadBalancer": {
                "type": "ConsistentHash",
                "consistentHash": {
                    "type": "Header",
                    "header": {"name": experiment.assignment.key},
                },
            },
            # Model servers close idle connections after 5 s; the proxy must be first.
            "timeout": {"http": {"connectionIdleTimeout": "4s"}},
        },
    }


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in the rule that splits, or in all rules that split alike.

    Raises:
        SpecError: other variants than the backends.
        ClusterError: no rule splits, or several split differently.
    """
    _weighted.require_fit(obj, _names(obj), split, CAPABILITIES.parts)
    if split == split_of(obj):
        return deepcopy(dict(obj))
    return _written(obj, split)


def _written(obj: Object, split: Split) -> Object:
    after: Json = deepcopy(dict(obj))
    for rule in _gateway_routes.splitting(after, alike=False):
        weights = _weighted.weights_of(_behind(obj, rule), split, CAPABILITIES.parts)
        for backend, weight in zip(rule["backendRefs"], weights, strict=True):
            backend["weight"] = weight
    return after


def split_of(obj: Object) -> Split:
    """The weights of the rule that splits, by proportion.

    Raises:
        ClusterError: no rule splits, or several split differently.
    """
    rule = _gateway_routes.splitting(obj)[0]
    return _weighted.split_of(obj, _behind(obj, rule), _gateway_routes.weights(rule))


def mended(obj: Object) -> Object:
    """A copy in which one backend has everything, in each rule that splits.

    Raises:
        ClusterError: no rule splits, or several between different backends.
    """
    return _written(obj, _weighted.back(_names(obj)))


def programmed(obj: Object) -> Split | None:
    """The split, where every Gateway has accepted this very generation of the route."""
    return None if _unaccepted(obj) else split_of(obj)


def refusal(obj: Object) -> str | None:
    """Why a Gateway has not accepted the route, or which backends it says to be unavailable."""
    return _unaccepted(obj) or _unavailable(obj)


def _unaccepted(obj: Object) -> str | None:
    parents = (obj.get("status") or {}).get("parents") or []
    if not parents:
        return platforms.UNSEEN
    for parent in parents:
        conditions = parent.get("conditions", [])
        if reason := platforms.unmet(conditions, ("Accepted", "ResolvedRefs")):
            return f"gateway {parent['parentRef']['name']}: {reason}"
        if not all(platforms.current(obj, c.get("observedGeneration")) for c in conditions):
            return f"gateway {parent['parentRef']['name']} has not seen this generation yet"
    return None


def _unavailable(obj: Object) -> str | None:
    for parent in obj["status"]["parents"]:
        # Envoy Gateway's own, which is there only while it is false.
        said = [c for c in parent["conditions"] if c["type"] == "BackendsAvailable"]
        if said and (reason := platforms.unmet(said, ("BackendsAvailable",))):
            return f"gateway {parent['parentRef']['name']}: {reason}"
    return None


def upstreams(obj: Object) -> Mapping[str, Sequence[str]]:
    """The clusters that Envoy Gateway makes of the backends; those of other rules are others."""
    ref, found = Ref.of(obj), dict[str, list[str]]()
    for rule in _gateway_routes.splitting(obj):
        place = obj["spec"]["rules"].index(rule)
        for i, name in enumerate(_behind(obj, rule)):
            cluster = f"{ref.kind.lower()}/{ref.namespace}/{ref.name}/rule/{place}/backend/{i}"
            found.setdefault(name, []).append(cluster)
    return found


def _names(obj: Object) -> list[str]:
    return _behind(obj, _gateway_routes.splitting(obj, alike=False)[0])


def _behind(obj: Object, rule: Json) -> list[str]:
    return _weighted.behind(obj, _gateway_routes.called(_gateway_routes.places_of(obj, rule)))
