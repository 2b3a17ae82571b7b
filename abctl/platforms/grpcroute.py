"""Gateway API for gRPC: a GRPCRoute over the Services of the variants.

It splits the calls of `inference.GRPCInferenceService` and nothing else: where clients use REST
too, `gateway` splits both by one HTTPRoute. Rules, policy and limits are those of `gateway`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Variant
from abctl.platforms import Misfit, _fit, _gateway_routes, _workload, gateway
from abctl.platforms._gateway_routes import ROUTE_API

CAPABILITIES = replace(gateway.CAPABILITIES, grpc=_fit.always)

baseline = _fit.no_baseline
objections = gateway.objections
with_split = gateway.with_split
split_of = gateway.split_of
mended = gateway.mended
programmed = gateway.programmed
refusal = gateway.refusal
upstreams = gateway.upstreams


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment a GRPCRoute cannot express."""
    regional = experiment.assignment.unit != "request"
    return [
        *_fit.misfits("grpcroute", CAPABILITIES, experiment, regional=regional),
        *gateway.unfit(experiment, "GRPCRoute"),
        *_unnamed_ports(experiment),
        *_workload.unserved(experiment, "grpcroute"),
        *_workload.alike(experiment, "grpcroute"),
    ]


def _unnamed_ports(experiment: Experiment) -> Iterator[Misfit]:
    for place, variant in _fit.served(experiment):
        service = variant.model.service
        if service and not variant.model.image and ":" not in service:
            message = f"{service!r} names no port, and gRPC has no usual one"
            yield Misfit(
                (*place, "model", "service"), message, f"service: {service}:{_workload.GRPC}"
            )


def target(experiment: Experiment) -> Ref:
    """The GRPCRoute."""
    return Ref(ROUTE_API, "GRPCRoute", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """The variants' servers, leave to reach Services elsewhere, the GRPCRoute, and its policy.

    Raises:
        SpecError: Gateway API cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    backends = {v.name: _backend(experiment, v) for v in experiment.served}
    servers = [o for v in experiment.served for o in _workload.servers(experiment, v)]
    spec = _gateway_routes.spec_grpc(experiment, backends)
    return gateway.routed(experiment, target(experiment), backends, servers, spec)


def _backend(experiment: Experiment, variant: Variant) -> _workload.Backend:
    where = _workload.backend(experiment, variant)
    own = variant.model.image or not variant.model.service
    return replace(where, port=_workload.GRPC) if own else where
