"""Plain Envoy: a ConfigMap with its bootstrap and its routes; the routes carry the split.

Every user keeps their variant: Envoy hashes the salted key (abctl.core.assignment says how).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from abctl.core.assignment import by_salted_hash
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.server import reader_image
from abctl.core.split import Split
from abctl.errors import ClusterError, SpecError
from abctl.platforms import (
    Capabilities,
    Inquiry,
    Misfit,
    _access_log,
    _entrance,
    _envoy_bootstrap,
    _envoy_routes,
    _fit,
    _proxy,
    _weighted,
    _workload,
)


def _status(obj: Object, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = routes_of(obj)
    loaded = _envoy_routes.routes(answer, wanted["name"])
    if loaded is None:
        return {"refusal": "has no routes yet"}
    if not _envoy_routes.holds(loaded, wanted) and _read(obj, loaded) == split_of(obj):
        return {"refusal": "has older routes"}
    return {"routes": loaded}


CAPABILITIES = Capabilities(
    parts=10_000,
    sticky=True,
    override=True,
    cohorts=True,
    shadow=True,
    max_variants=None,
    reports="split",
    proxy="envoy",
    draw=by_salted_hash,
    inquiry=Inquiry(_proxy.ADMIN, _envoy_routes.PATH, _status, _proxy.WITHIN_SECONDS),
    services=_workload.services,
    grpc=_entrance.grpc,
)
_IMAGE = "envoyproxy/envoy:distroless-v1.40.0"
_LISTEN = 8080
_MOUNT, _BOOTSTRAP_FILE = "/etc/envoy", "envoy.json"
_NOBODY = 65532

ROUTES_FILE, bootstrap = _envoy_bootstrap.ROUTES_FILE, _envoy_bootstrap.bootstrap
Others = _envoy_bootstrap.Others
baseline = _fit.no_baseline
upstreams = _fit.no_upstreams
objections = _fit.no_objections


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment Envoy cannot express."""
    return [
        *_fit.misfits("envoy", CAPABILITIES, experiment),
        *_workload.unserved(experiment, "envoy"),
    ]


def target(experiment: Experiment) -> Ref:
    """The ConfigMap that carries the split."""
    return Ref("v1", "ConfigMap", experiment.namespace, f"{experiment.name}-envoy")


def objects(experiment: Experiment) -> list[Object]:
    """The variants' servers, the ConfigMap with Envoy's bootstrap and routes, and Envoy.

    Raises:
        SpecError: Envoy cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    ref = target(experiment)
    counted = reader_image(experiment) is not None
    collector = _workload.collector_address(experiment)
    static = bootstrap(
        experiment,
        listen=_LISTEN,
        admin=_proxy.ADMIN,
        upstreams=_workload.addresses(experiment),
        grpc=_workload.addresses(experiment, grpc=True),
        others=Others(collector, _access_log.SOCKET if counted else None),
        routes_dir=_MOUNT,
        host="0.0.0.0",  # noqa: S104 - inside a pod, where the network policy decides
    )
    start_text = json.dumps(static, indent=1)
    routes = _text(_envoy_routes.route_configuration(experiment))
    arguments = ["-c", f"{_MOUNT}/{_BOOTSTRAP_FILE}", "--disable-hot-restart"]
    program = _proxy.Program(
        container={"image": _IMAGE, "args": [*arguments, "--log-level", "warn"]},
        user=_NOBODY,
        mount=_MOUNT,
        ports={"http": _LISTEN, "admin": _proxy.ADMIN},
        health=("/ready", _proxy.ADMIN),
        start_text=start_text,
        log=f"unix-abstract:{_access_log.SOCKET}",
    )
    data = {_BOOTSTRAP_FILE: start_text, ROUTES_FILE: routes}
    return _proxy.proxy(experiment, ref, data, program)


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in the routes; nothing else differs.

    Raises:
        ClusterError: routes that abctl did not write.
        SpecError: other variants, or a treatment that is too large for its region.
    """
    routes = routes_of(obj)
    try:
        after = _envoy_routes.with_split(routes, split)
    except (LookupError, TypeError) as error:
        raise _foreign(obj, error) from error
    return {**obj, "data": {**obj["data"], ROUTES_FILE: _text(after)}}


def mended(obj: Object) -> Object:
    """A copy in which the control has everything, in all routes that split.

    Raises:
        ClusterError: routes that abctl did not write.
    """
    try:
        names = _envoy_routes.names_of(routes_of(obj))
    except (LookupError, TypeError) as error:
        raise _foreign(obj, error) from error
    return with_split(obj, _weighted.back(names))


def split_of(obj: Object) -> Split:
    """The split that the routes ask for.

    Raises:
        ClusterError: routes that abctl did not write.
    """
    return _read(obj, routes_of(obj))


def programmed(obj: Object) -> Split | None:
    """The split of the routes that Envoy reports as its own; None without a report."""
    routes = obj.get("status", {}).get("routes")
    return None if routes is None else _read(obj, routes)


def refusal(obj: Object) -> str | None:
    """Why Envoy does not have the object's routes, as far as it says so."""
    reason: str | None = obj.get("status", {}).get("refusal")
    # Envoy counts what it refused since it started, also what was mended since.
    return None if reason is None or programmed(obj) == split_of(obj) else reason


def routes_of(obj: Object) -> dict[str, Any]:
    """The RouteConfiguration in the object.

    Raises:
        ClusterError: routes that abctl did not write.
    """
    try:
        routes: dict[str, Any] = json.loads(obj["data"][ROUTES_FILE])["resources"][0]
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise _foreign(obj, error) from error
    return routes


def _read(obj: Object, routes: dict[str, Any]) -> Split:
    try:
        return _envoy_routes.split_of(routes)
    except (SpecError, LookupError, TypeError) as error:
        raise _foreign(obj, error) from error


def _foreign(obj: Object, error: Exception) -> ClusterError:
    reason = f"{type(error).__name__}: {error}"
    return ClusterError(
        f"{Ref.of(obj)}: {ROUTES_FILE} is not as abctl writes it ({reason})",
        "abctl did not write it; `abctl apply` replaces it",
    )


def _text(routes: dict[str, Any]) -> str:
    return json.dumps({"resources": [routes]}, indent=1)
