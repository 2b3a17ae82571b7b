"""How a Prometheus is to be reached, as a file says it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abctl.cluster import Door
from abctl.errors import SourceError, SpecError
from abctl.files import STDIN
from abctl.services import _document, _shape
from abctl.services._file import Prometheus
from abctl.services._problems import Place, Problem, as_error

if TYPE_CHECKING:
    from abctl.sources import Source

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
    server = _shape.read(Prometheus, given, str(path))
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
    from abctl.sources._connection import Way  # noqa: PLC0415 - as above

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
            "way": Way(access.pool, access.login.headers),
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
