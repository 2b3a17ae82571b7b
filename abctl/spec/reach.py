"""How a Prometheus is to be reached, as a file says it.

Which secrets an experiment file wants to have sent, and where to.

It names files and variables of whoever runs it, and may be written by somebody else: nothing leaves
this machine unless the user has named the place, or said yes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abctl.cluster import Door
from abctl.errors import SourceError, SpecError
from abctl.files import STDIN
from abctl.spec import _document, shape
from abctl.spec._file import Prometheus
from abctl.spec.shape import Place, Problem, as_error

if TYPE_CHECKING:
    from abctl.sources import Source

from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from abctl.core.address import is_loopback
from abctl.core.experiment import Experiment

_KEYS = "it has the keys of source.prometheus: url: ..."
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key")


def read(path: Path, url: str | None = None) -> dict[str, Any]:
    """The options of a source from a file that holds what `source.prometheus` may hold.

    Args:
        path: the file.
        url: goes before the address of the file.

    Raises:
        SpecError: whatever is wrong with it.
    """
    if str(path) != STDIN and not path.exists():
        raise SpecError(f"{path}: no such file", _KEYS)
    given = _document.parse_document(_document.read_text(path), str(path), _KEYS)
    if url is not None:
        given = {k: v for k, v in given.items() if k not in ("service", "path")} | {"url": url}
    server = shape.read(Prometheus, given, str(path))
    if found := list(problems(server, ())):
        raise as_error(found, str(path))
    return options(server)


def options(server: Prometheus) -> dict[str, Any]:
    """What the source is to know; only what is not as usual."""
    given = server.given()
    for part in ("basic_auth", "tls_config"):
        if part in given:
            given |= given.pop(part).given()
    if "timeout" in given:
        given["timeout_seconds"] = given.pop("timeout")
    return given


def prometheus(given: Mapping[str, Any], namespace: str, door: Door | None) -> "Source":
    """A Prometheus at its address, or at its Service behind a cluster's API server.

    Args:
        given: the options of the source.
        namespace: of a Service that is named without one.
        door: to the cluster.

    Raises:
        SourceError: a Service, but no cluster; or what is named for the connection is missing.
    """
    from abctl.sources import open_source  # noqa: PLC0415 - numpy is slow to import
    from abctl.sources.connection import Way  # noqa: PLC0415 - as above

    if "service" not in given:
        return open_source("prometheus", given)
    access = getattr(door, "access", None)
    if access is None:
        raise SourceError(
            f"the Service {given['service']} is in a cluster, and this is none",
            "--prometheus URL names another one; or say which cluster: --context",
        )
    where, _, rest = given["service"].rpartition("/")
    name, _, port = rest.partition(":")
    place = f"{where or namespace}/{name}:{port or 80}"
    path = f"namespaces/{where or namespace}/services/{name}:{port or 80}/proxy"
    return open_source(
        "prometheus",
        {
            **given,
            "url": f"{access.server}/api/v1/{path}{given.get('path', '')}",
            "way": Way(access.pool, access.credentials.headers),
            "place": f"service {place} of {access.words}",
        },
    )


def problems(server: Prometheus, place: Place) -> Iterator[Problem]:
    """What is wrong with how a Prometheus is to be reached."""

    def one_of(where: Place, keys: str, given: Sequence[object], hint: str) -> Iterator[Problem]:
        if (count := sum(each is not None for each in given)) != 1:
            yield Problem(where, f"{count} of {keys} given, must be one", hint)

    address = [server.url, server.service]
    yield from one_of(place, "url and service", address, "url: http://prometheus:9090")
    if server.path and not server.service:
        yield Problem((*place, "path"), "belongs to service", "an url has its own path")
    login = [server.basic_auth, server.bearer_token_file, server.bearer_token_env]
    if sum(each is not None for each in login) > 1:
        message = "basicAuth, bearerTokenFile and bearerTokenEnv: more than one given"
        yield Problem(place, message, "one says who we are")
    if auth := server.basic_auth:
        secrets = [auth.password_file, auth.password_env]
        where = (*place, "basicAuth")
        yield from one_of(where, "passwordFile and passwordEnv", secrets, "passwordEnv: NAME")
    if (tls := server.tls_config) and tls.key_file and not tls.cert_file:
        yield Problem((*place, "tlsConfig", "certFile"), "is missing", "keyFile is its key")
    if server.service and (server.tls_config or server.proxy_url or any(login)):
        message = "has no credentials, tlsConfig or proxyUrl: the way there is the cluster's own"
        yield Problem((*place, "service"), message, "the kubeconfig says all that")
    for name in server.headers:
        if name in _SECRET_HEADERS:
            message = f"{name} is a secret, which has no place in the file"
            yield Problem((*place, "headers"), message, f"headersEnv: {{{name}: VARIABLE}}")


OPTION = "--allow-credentials"


@dataclass(frozen=True)
class Sending:
    """Secrets and their way.

    Attributes:
        secrets: in words, by the names under which the file has them.
        to: whoever could read them: `host[:port]`, or `namespace/name` of a Service.
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


def sending(experiment: Experiment) -> Sending | None:
    """What would leave this machine; None for nothing, or where the user has agreed."""
    source = experiment.source
    if source is None or source.kind != "prometheus" or source.agreed:
        return None
    secrets = tuple(_secrets(source.options))
    to = tuple(_readers(source.options, experiment.namespace))
    return Sending(secrets, to) if secrets and to else None


def agreed(experiment: Experiment) -> Experiment:
    """The experiment, once the user has agreed."""
    if experiment.source is None:
        return experiment
    return replace(experiment, source=replace(experiment.source, agreed=True))


def require_agreement(experiment: Experiment) -> None:
    """Make sure that nothing is sent that the user does not know of.

    Raises:
        SourceError: something would be.
    """
    if found := sending(experiment):
        options = " ".join(f"{OPTION} {to}" for to in found.to)
        raise SourceError(
            f"the experiment file wants to send {found}, which nobody has allowed",
            f"if that is right: {options} (or ABCTL_ALLOW_CREDENTIALS); --prometheus-config names "
            "a file of your own instead",
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


def _readers(options: Mapping[str, Any], namespace: str) -> list[str]:
    if "service" in options:
        where, _, name = options["service"].rpartition("/")
        return [f"{where or namespace}/{name.partition(':')[0]}"]
    addresses = (urlsplit(options[key]) for key in ("url", "proxy_url") if key in options)
    return [each.netloc for each in addresses if not is_loopback(each.hostname or "")]
