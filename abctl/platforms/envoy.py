"""Plain Envoy: a ConfigMap with its bootstrap and its routes; the routes carry the split.

Every user keeps their variant: Envoy hashes the salted key (abctl.core.assignment says how).
"""

import json
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.errors import ClusterError, SpecError
from abctl.platforms import Capabilities, _envoy_routes
from abctl.platforms._envoy_bootstrap import ROUTES_FILE, bootstrap

__all__ = [
    "CAPABILITIES",
    "bootstrap",
    "objects",
    "programmed",
    "refusal",
    "split_of",
    "target",
    "with_split",
]

CAPABILITIES = Capabilities(
    parts=10_000, sticky=True, override=True, cohorts=True, shadow=False, max_variants=None
)
_LISTEN, _ADMIN, _SERVE = 8080, 9901, 8080
_MOUNT = "/etc/envoy"


def target(experiment: Experiment) -> Ref:
    """The ConfigMap that carries the split."""
    return Ref("v1", "ConfigMap", experiment.namespace, f"{experiment.name}-envoy")


def objects(experiment: Experiment) -> list[Object]:
    """The ConfigMap with Envoy's bootstrap and routes."""
    ref = target(experiment)
    variants = experiment.split.names
    static = bootstrap(
        experiment,
        listen=_LISTEN,
        admin=_ADMIN,
        upstreams={name: (f"{experiment.name}-{name}", _SERVE) for name in variants},
        routes_dir=_MOUNT,
        host="0.0.0.0",  # noqa: S104 - inside a pod, where the network policy decides
    )
    return [
        {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "labels": {"abctl.dev/experiment": experiment.name},
            },
            "data": {
                "envoy.json": json.dumps(static, indent=1),
                ROUTES_FILE: _text(_envoy_routes.route_configuration(experiment)),
            },
        }
    ]


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in the routes; nothing else differs.

    Raises:
        ClusterError: routes that abctl did not write.
        SpecError: other variants, or a treatment that is too large for its region.
    """
    routes = _routes(obj)
    try:
        after = _envoy_routes.with_split(routes, split)
    except (LookupError, TypeError) as error:
        raise _foreign(obj, error) from error
    return {**obj, "data": {**obj["data"], ROUTES_FILE: _text(after)}}


def split_of(obj: Object) -> Split:
    """The split that the routes ask for.

    Raises:
        ClusterError: routes that abctl did not write.
    """
    return _read(obj, _routes(obj))


def programmed(obj: Object) -> Split | None:
    """The split of the routes that Envoy reports as its own; None without a report."""
    routes = obj.get("status", {}).get("routes")
    return None if routes is None else _read(obj, routes)


def refusal(obj: Object) -> str | None:
    """Why Envoy does not have the object's routes, as far as it says so."""
    reason: str | None = obj.get("status", {}).get("refusal")
    # Envoy counts what it refused since it started, also what was mended since.
    return None if reason is None or programmed(obj) == split_of(obj) else reason


def _routes(obj: Object) -> dict[str, Any]:
    try:
        routes: dict[str, Any] = json.loads(obj["data"][ROUTES_FILE])["resources"][0]
    except (LookupError, TypeError, ValueError) as error:
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
        f"{Ref.of(obj)}: {ROUTES_FILE} holds no split of abctl ({reason})",
        "somebody else wrote it; `abctl apply` writes it anew",
    )


def _text(routes: dict[str, Any]) -> str:
    return json.dumps({"resources": [routes]}, indent=1)
