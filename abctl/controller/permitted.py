"""What an `Experiment` may name: whoever may write one is not whoever runs the controller.

An object must not make the controller read its files or its environment, send its secrets, or ask
a server of the author's choice from where the controller stands. Which servers may be named, says
who runs it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from abctl.core.experiment import Experiment
from abctl.errors import SpecError

ALLOW = "--allow-source"
_OF_THE_CONTROLLER = {
    "ca_file": "tlsConfig.caFile",
    "cert_file": "tlsConfig.certFile",
    "key_file": "tlsConfig.keyFile",
    "insecure_skip_verify": "tlsConfig.insecureSkipVerify",
    "username": "basicAuth",
    "password_file": "basicAuth.passwordFile",
    "password_env": "basicAuth.passwordEnv",
    "bearer_token_file": "bearerTokenFile",
    "bearer_token_env": "bearerTokenEnv",
    "headers": "headers",
    "headers_env": "headersEnv",
    "proxy_url": "proxyUrl",
}
_NAMED_BY_FLAGS = (
    "whoever runs the controller says how the counters are reached (--prometheus, "
    "--prometheus-config); a file for abctl run may say it itself"
)


@dataclass(frozen=True)
class Allowed:
    """Servers that objects may name as their source.

    >>> Allowed(frozenset(["prometheus.monitoring:9090"])).server("prometheus.monitoring:9090")
    True

    Attributes:
        servers: `host`, `host:port`, or `namespace/name` of a Service.
    """

    servers: Collection[str] = frozenset()

    def server(self, netloc: str) -> bool:
        """Whether `host:port` of an address is among them; a host stands for all of its ports."""
        host = urlsplit(f"//{netloc}").hostname or ""
        return bool({netloc.lower(), host.lower()} & {each.lower() for each in self.servers})

    def service(self, named: str, namespace: str) -> bool:
        """Whether a Service may be named: of the object's own namespace, or among them."""
        where, _, name = named.rpartition("/")
        name = name.partition(":")[0]
        return where in ("", namespace) or f"{where}/{name}" in self.servers


def require_permitted(experiment: Experiment, allowed: Allowed) -> None:
    """Refuse what an object may not name.

    Args:
        experiment: of the object.
        allowed: what whoever runs the controller allows.

    Raises:
        SpecError: everything that it names and may not.
    """
    if found := list(_problems(experiment, allowed)):
        raise SpecError(
            "; ".join(found),
            f"{_NAMED_BY_FLAGS}; {ALLOW} lets objects name a server",
        )


def _problems(experiment: Experiment, allowed: Allowed) -> Iterator[str]:
    models = {each.name: each.model for each in experiment.variants}
    if experiment.shadow is not None:
        models[experiment.shadow.name] = experiment.shadow.model
    for name, model in models.items():
        if model.path is not None:
            yield f"model.path of {name}: an object names no path"
    if (source := experiment.source) is None:
        return
    if source.tables is not None:
        yield "source.table: a controller reads no tables for an object"
    if source.kind in ("file", "scrape"):
        yield f"source.{source.kind}: an object names no file"
    if source.kind == "prometheus":
        yield from _of_prometheus(source.options, experiment.namespace, allowed)


def _of_prometheus(options: Mapping[str, Any], namespace: str, allowed: Allowed) -> Iterator[str]:
    for key, written in _OF_THE_CONTROLLER.items():
        if options.get(key):
            yield f"source.prometheus.{written}: an object has no secrets, files or headers"
    if (url := options.get("url")) and not allowed.server(urlsplit(url).netloc):
        yield f"source.prometheus.url: {urlsplit(url).netloc} is not a server that it may name"
    service = options.get("service")
    if service and not allowed.service(service, namespace):
        yield f"source.prometheus.service: {service} is of another namespace"
