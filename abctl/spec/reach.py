"""How to reach evidence, which secrets that would send to it, and whether they may be sent.

An experiment file names files and environment variables of the user who runs it, and may come from
another author. So no secret leaves this machine unless the user has named the server, or has
agreed.
"""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from abctl.cluster import KubeClient
from abctl.core.address import is_loopback
from abctl.core.change import Ref
from abctl.core.experiment import Experiment
from abctl.errors import SourceError, SpecError
from abctl.files import STDIN
from abctl.spec import shape
from abctl.spec._source_fields import Prometheus
from abctl.spec.shape import Place, Problem, as_error

if TYPE_CHECKING:
    from abctl.sources import Source

_KEYS = "it has the keys of source.prometheus: url: ..."
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key")
OPTION = "--allow-credentials"
# What drivers of warehouses take that leads nowhere.
_NO_ADDRESS = ("user", "username", "role", "port", "database", "dbname", "schema", "catalog")


def read(path: Path, url: str | None = None) -> dict[str, Any]:
    """The options of a source from a file with the keys of `source.prometheus`.

    Args:
        path: the file.
        url: goes before the address of the file.

    Raises:
        SpecError: everything that is wrong with it.
    """
    if str(path) != STDIN and not path.exists():
        raise SpecError(f"{path}: no such file", _KEYS)
    given = shape.parse_document(shape.read_text(path), str(path), _KEYS)
    if url is not None:
        given = {k: v for k, v in given.items() if k not in ("service", "path")} | {"url": url}
    server = shape.read(Prometheus, given, str(path))
    if found := list(problems(server, ())):
        raise as_error(found, str(path))
    return options(server)


def options(server: Prometheus) -> dict[str, Any]:
    """The options of the source; those with their default are left out."""
    given = server.given()
    for part in ("basic_auth", "tls_config"):
        if part in given:
            given |= given.pop(part).given()
    if "timeout" in given:
        given["timeout_seconds"] = given.pop("timeout")
    return given


def prometheus(given: Mapping[str, Any], namespace: str, client: KubeClient | None) -> "Source":
    """A Prometheus at its address, or at its Service behind a cluster's API server.

    Args:
        given: the options of the source.
        namespace: of a Service that is named without one.
        client: to the cluster.

    Raises:
        SourceError: a Service, but no cluster; or what is named for the connection is missing.
    """
    from abctl.sources import open_source  # noqa: PLC0415 - numpy is slow to import
    from abctl.sources.connection import ServerSettings  # noqa: PLC0415 - as above

    service = proxied(given, namespace)
    if service is None:
        return open_source("prometheus", given)
    access = getattr(client, "access", None)
    if access is None:
        raise SourceError(
            f"source.prometheus.service {given['service']} needs a cluster, but none is in use",
            "give a cluster: --context, or another Prometheus: --prometheus URL",
        )
    path = f"namespaces/{service.namespace}/services/{service.name}/proxy"
    return open_source(
        "prometheus",
        {
            **given,
            "url": f"{access.server}/api/v1/{path}{given.get('path', '')}",
            "way": ServerSettings(access.pool, access.credentials.headers),
            "place": f"service {service.namespace}/{service.name} of {access.words}",
        },
    )


def proxied(given: Mapping[str, Any], namespace: str) -> Ref | None:
    """What the API server passes the questions on to, as it names it for its roles.

    >>> proxied({"service": "monitoring/prometheus"}, "models").name
    'prometheus:80'

    Args:
        given: the options of the source.
        namespace: of a Service that is named without one.

    Returns:
        Service and port, to `get`; None where the source has an address.
    """
    if "service" not in given:
        return None
    where, _, rest = given["service"].rpartition("/")
    name, _, port = rest.partition(":")
    return Ref("v1", "Service/proxy", where or namespace, f"{name}:{port or 80}")


def problems(server: Prometheus, place: Place) -> Iterator[Problem]:
    """The problems of an address, credentials and headers of a Prometheus."""

    def one_of(where: Place, keys: str, given: Sequence[object], hint: str) -> Iterator[Problem]:
        if (count := sum(each is not None for each in given)) != 1:
            yield Problem(where, f"{count} of {keys} given, must be one", hint)

    address = [server.url, server.service]
    yield from one_of(place, "url and service", address, "url: http://prometheus:9090")
    if server.path and not server.service:
        yield Problem((*place, "path"), "is only for service", "add the path to url")
    login = [server.basic_auth, server.bearer_token_file, server.bearer_token_env]
    if sum(each is not None for each in login) > 1:
        message = "basicAuth, bearerTokenFile and bearerTokenEnv: more than one given"
        yield Problem(place, message, "configure exactly one authentication method")
    if auth := server.basic_auth:
        secrets = [auth.password_file, auth.password_env]
        where = (*place, "basicAuth")
        yield from one_of(where, "passwordFile and passwordEnv", secrets, "passwordEnv: NAME")
    if (tls := server.tls_config) and tls.key_file and not tls.cert_file:
        yield Problem(
            (*place, "tlsConfig", "certFile"),
            "is missing",
            "keyFile needs the certificate that belongs to it",
        )
    if server.service and (server.tls_config or server.proxy_url or any(login)):
        message = "takes no credentials, tlsConfig or proxyUrl"
        yield Problem(
            (*place, "service"),
            message,
            "remove them: the kubeconfig says how to reach the cluster",
        )
    for name in server.headers:
        if name in _SECRET_HEADERS:
            message = f"{name} is a secret, which must not be in the file"
            yield Problem((*place, "headers"), message, f"headersEnv: {{{name}: VARIABLE}}")


@dataclass(frozen=True)
class Sending:
    """Secrets that would be sent, and to whom.

    >>> found = Sending(secrets=("the token in $TOKEN",), to=("prometheus.example.com:9090",))
    >>> found.allowed_by(["prometheus.example.com"]), found.allowed_by(["example.org"])
    (True, False)

    Attributes:
        secrets: in words, by the names that they have in the file.
        to: the servers that could read them: `host[:port]`, or `namespace/name` of a Service.
    """

    secrets: tuple[str, ...]
    to: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' and '.join(self.secrets)} to {' and '.join(self.to)}"

    def allowed_by(self, places: Collection[str]) -> bool:
        """Whether each of them is among the places; a host stands for all of its ports."""
        named = {each.lower() for each in places}
        return all({*_names(to)} & named for to in self.to)


def _names(to: str) -> Iterator[str]:
    """What a user may call a place: with its port or without, an IPv6 address without brackets."""
    yield to.lower()
    if "/" not in to and (host := urlsplit(f"//{to}").hostname):
        yield from (host, f"[{host}]")


def sending(experiment: Experiment, *, counters: bool = True) -> Sending | None:
    """The secrets that would leave this machine; None for none, or where the user has agreed.

    Args:
        experiment: whose file names them.
        counters: whether the Prometheus of the file is asked, or its tables alone.
    """
    source = experiment.source
    if source is None or source.agreed:
        return None
    pairs = []
    if counters and source.kind == "prometheus":
        to = _readers(source.options, experiment.namespace)
        pairs.append((_secrets(source.options), to))
    if source.tables is not None:
        of_tables = [f"${env} as {name}" for name, env in source.tables.connection_env.items()]
        pairs.append((of_tables, _warehouses(source.tables.connection)))
    leaving = [(secrets, to) for secrets, to in pairs if secrets and to]
    if not leaving:
        return None
    return Sending(
        tuple(each for secrets, _ in leaving for each in secrets),
        tuple(each for _, to in leaving for each in to),
    )


def agreed(experiment: Experiment) -> Experiment:
    """The experiment, once the user has agreed."""
    if experiment.source is None:
        return experiment
    return replace(experiment, source=replace(experiment.source, agreed=True))


def require_agreement(experiment: Experiment, *, counters: bool = True) -> None:
    """Make sure that no secret is sent without the user's agreement.

    Args:
        experiment: see `sending`.
        counters: see `sending`.

    Raises:
        SourceError: a secret would be sent.
    """
    if found := sending(experiment, counters=counters):
        options = " ".join(f"{OPTION} {shlex.quote(to)}" for to in found.to)
        own = "; or name a file of your own with --prometheus-config" if counters else ""
        raise SourceError(
            f"the experiment file would send {found}, and you have not allowed that",
            f"to allow it: {options} (or ABCTL_ALLOW_CREDENTIALS){own}",
        )


def _secrets(options: Mapping[str, Any]) -> list[str]:
    def kept(what: str, file: str, env: str) -> list[str]:
        if file in options:
            return [f"{what} in {options[file]}"]
        return [f"{what} in ${options[env]}"] if env in options else []

    return [
        *kept(f"the password of {options.get('username')}", "password_file", "password_env"),
        *kept("the token", "bearer_token_file", "bearer_token_env"),
        *(f"${env} as {name}" for name, env in options.get("headers_env", {}).items()),
    ]


def _warehouses(connection: Mapping[str, Any]) -> list[str]:
    """Where a connection leads: all that is not known to be something else may say it."""
    given = [str(value) for name, value in connection.items() if name not in _NO_ADDRESS]
    return [each for each in given if not is_loopback(each)]


def _readers(options: Mapping[str, Any], namespace: str) -> list[str]:
    if "service" in options:
        where, _, name = options["service"].rpartition("/")
        return [f"{where or namespace}/{name.partition(':')[0]}"]
    addresses = (urlsplit(options[key]) for key in ("url", "proxy_url") if key in options)
    return [each.netloc for each in addresses if not is_loopback(each.hostname or "")]
