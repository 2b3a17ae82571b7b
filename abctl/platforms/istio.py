"""Istio: a VirtualService over the Services of the variants, each with a DestinationRule.

Every request is drawn anew: Istio's consistent hash picks a pod within a variant, never the
variant. The first rule that matches decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from abctl import platforms
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import (
    Capabilities,
    Misfit,
    _collector,
    _entrance,
    _fit,
    _istio_routes,
    _weighted,
    _workload,
)


def _services(_: Experiment, obj: Object) -> Mapping[str, Ref]:
    found = {}
    routes = _istio_routes.splitting(obj, alike=False)
    for name, to in zip(_names(obj), routes[0]["route"], strict=True):
        service, _dot, rest = to["destination"]["host"].partition(".")
        namespace, _dot, rest = rest.partition(".")
        # Other hosts are not of this cluster, and a subset is a part of the Service's pods.
        if (not namespace or rest.startswith("svc")) and "subset" not in to["destination"]:
            found[name] = Ref("v1", "Service", namespace or Ref.of(obj).namespace, service)
    return found


CAPABILITIES = Capabilities(
    parts=10_000,
    sticky=False,
    override=True,
    cohorts=True,
    shadow=True,
    max_variants=None,
    entrance=True,
    services=_services,
    grpc=_entrance.grpc,
)
_API = "networking.istio.io/v1"
_MESH = "mesh"

baseline = _fit.no_baseline
objections = _istio_routes.objections

Json = dict[str, Any]


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment Istio cannot express."""
    return [
        *_fit.misfits("istio", CAPABILITIES, experiment),
        *_workload.unserved(experiment, "istio"),
        *_workload.alike(experiment, "istio"),
        *_gateway(experiment),
    ]


def _gateway(experiment: Experiment) -> Iterator[Misfit]:
    # Of a gateway every host can be had; of the mesh none.
    entrance = experiment.entrance
    yield from _fit.address(experiment, any_host=bool(entrance and entrance.gateway))
    if not (entrance and entrance.host):
        hint = "entrance: {host: iris.example.com, gateway: istio-ingress/public}"
        yield Misfit(("entrance", "host"), "is missing, a VirtualService needs it", hint)


def target(experiment: Experiment) -> Ref:
    """The VirtualService."""
    return Ref(_API, "VirtualService", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """The variants' servers and DestinationRules, and the VirtualService.

    Raises:
        SpecError: Istio cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    backends = {v.name: _workload.backend(experiment, v) for v in experiment.served}
    carrier = _weighted.noted(
        _workload.head(target(experiment), experiment),
        dict(zip(experiment.split.names, _called(experiment, backends), strict=True)),
    )
    entrance = experiment.entrance
    assert entrance is not None
    carrier["spec"] = {
        "hosts": [entrance.host],
        "gateways": [entrance.gateway or _MESH],
        "http": _istio_routes.routes(experiment, backends),
    }
    return [
        *_collector.with_servers(experiment),
        *_rules(experiment, backends),
        carrier,
    ]


def _called(experiment: Experiment, backends: Mapping[str, _workload.Backend]) -> list[str]:
    places = [backends[name] for name in experiment.split.names]
    return _weighted.shortest((at.host, f"{at.host}:{at.port}") for at in places)


def _rules(experiment: Experiment, backends: Mapping[str, _workload.Backend]) -> Iterator[Object]:
    """For the hosts that abctl makes: others have rules of their own, which one more would undo."""
    for variant in experiment.served:
        if variant.model.image:
            yield _rule(experiment, variant.name, backends[variant.name].host)


def _rule(experiment: Experiment, variant: str, host: str) -> Object:
    name = _workload.named(experiment, variant)
    ref = Ref(_API, "DestinationRule", experiment.namespace, name)
    # Model servers close idle connections after 5 s; the proxy must be first.
    policy = {"connectionPool": {"http": {"idleTimeout": "4s"}}}
    return {
        **_workload.head(ref, experiment, variant),
        "spec": {"host": host, "trafficPolicy": policy},
    }


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in the route that splits, or in all that split alike.

    Raises:
        SpecError: other variants than the destinations.
        ClusterError: no route splits, or several split differently.
    """
    _weighted.require_fit(obj, _names(obj), split, CAPABILITIES.parts)
    if split == split_of(obj):
        return deepcopy(dict(obj))
    return _written(obj, split)


def _written(obj: Object, split: Split) -> Object:
    after: Json = deepcopy(dict(obj))
    for route in _istio_routes.splitting(after, alike=False):
        for name, destination in zip(_behind(obj, route), route["route"], strict=True):
            destination["weight"] = split[name]
    return after


def mended(obj: Object) -> Object:
    """A copy in which one destination has everything, in each route that splits.

    Raises:
        ClusterError: no route splits, or several between different destinations.
    """
    return _written(obj, _weighted.back(_names(obj)))


def split_of(obj: Object) -> Split:
    """The weights of the route that splits, by proportion.

    Raises:
        ClusterError: no route splits, or several split differently.
    """
    route = _istio_routes.splitting(obj)[0]
    weights = [destination.get("weight", 0) for destination in route["route"]]
    return _weighted.split_of(obj, _names(obj), weights)


def programmed(obj: Object) -> Split | None:  # noqa: ARG001 - the protocol's
    """Nothing: Istio does not say what its proxies have."""
    return None


def refusal(obj: Object) -> str | None:
    """What Istio's own analysis says against it, where that is switched on."""
    status = obj.get("status") or {}
    for message in status.get("validationMessages") or ():
        if message.get("level") == "ERROR":
            kind = message.get("type", {})
            return f"Istio says {kind.get('code', '')} {kind.get('name', 'ERROR')}".strip()
    conditions = status.get("conditions")
    return platforms.unmet(conditions, ("Reconciled",)) if conditions else None


def upstreams(obj: Object) -> Mapping[str, Sequence[str]]:
    """The hosts of the destinations, as the metrics call a Service: by its whole name."""
    destinations = _istio_routes.splitting(obj)[0]["route"]
    own = f".{Ref.of(obj).namespace}.svc.cluster.local"
    named = (each["destination"]["host"] for each in destinations)
    hosts = (host if "." in host else f"{host}{own}" for host in named)
    return {name: (host,) for name, host in zip(_names(obj), hosts, strict=True)}


def _names(obj: Object) -> list[str]:
    return _behind(obj, _istio_routes.splitting(obj, alike=False)[0])


def _behind(obj: Object, route: Json) -> list[str]:
    return _weighted.behind(obj, _istio_routes.targets(route))
