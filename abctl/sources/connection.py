"""How to reach a Prometheus, and who one is there: TLS, credentials, headers, proxies, retries.

Secrets are named, by a file or an environment variable, and read when they are needed: a file
anew for each request, for others may renew it. What is read is in no message and in no repr.
"""

import logging
import os
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import urllib3
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ReadTimeoutError, SSLError
from urllib3.util import create_urllib3_context
from urllib3.util.retry import Retry

from abctl import files
from abctl.core.address import is_loopback
from abctl.errors import SourceError
from abctl.foreign import shown
from abctl.sources._answers import log_answer, require_bounded, require_good, require_whole
from abctl.waiting import in_pod

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 30.0
_LONGEST_SECRET = 2**16
PASSING = (429, 500, 502, 503, 504)
# What Prometheus does anyway. Others want to be told, and Prometheus leaves alone what it does not
# know: no times moved into the past or onto a grid (VictoriaMetrics), an error in place of half an
# answer (Thanos, a cluster of VictoriaMetrics), and samples as they were scraped (Thanos).
_AS_PROMETHEUS = {
    "nocache": "1",
    "latency_offset": "1ms",
    "deny_partial_response": "1",
    "partial_response": "false",
    "max_source_resolution": "0s",
}


class _Retry(Retry):
    """Retries what may pass: no untrusted certificate, and no timeout."""

    def increment(self, *args: Any, **options: Any) -> Self:
        if isinstance(error := options.get("error"), ReadTimeoutError | SSLError):
            raise error
        found = super().increment(*args, **options)
        answer = options.get("response")
        reason = answer.status if answer else type(error).__name__
        _log.info("%s: again, %d left", reason, found.total)
        return found


@dataclass(frozen=True)
class ServerSettings:
    """A way through the connections of another client: that of a cluster's API server.

    Attributes:
        pool: of connections.
        headers: what each request carries.
    """

    pool: urllib3.PoolManager
    headers: Callable[[], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class Connection:
    """How to reach a server; names and files are those of the experiment file, in snake_case."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)  # of an address that the user typed
    password_file: str | None = None
    password_env: str | None = None
    bearer_token_file: str | None = None
    bearer_token_env: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    insecure_skip_verify: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    headers_env: Mapping[str, str] = field(default_factory=dict)
    proxy_url: str | None = None
    timeout_seconds: float = _TIMEOUT_SECONDS

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """What a source's options say of it; other options are left alone."""
        names = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in options.items() if name in names})

    @property
    def identity(self) -> str:
        """The identity that is sent, for messages; no secrets."""
        known = {
            "no credentials": True,
            f"basic auth as {self.username}": self.username,
            f"the token of {self.bearer_token_file}": self.bearer_token_file,
            f"the token in ${self.bearer_token_env}": self.bearer_token_env,
            f"the certificate {self.cert_file}": self.cert_file,
        }
        given = [words for words, there in known.items() if there]
        return " and ".join(given[1:]) or given[0]

    @classmethod
    def of_address(cls, url: str, options: Mapping[str, Any]) -> tuple[str, Self]:
        """An address without user and password, and the connection that they belong to.

        Raises:
            SourceError: it is not an address.
        """
        found = cls.of(options)
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known or shown(url) != url:
            words = url.rpartition("@")[2]  # before it may be a password
            raise SourceError(f"{words!r} is not the address of a Prometheus", "http://host:9090")
        if parts.username is not None:
            name, secret = unquote(parts.username), unquote(parts.password or "")
            found = replace(found, username=name, password=secret)
        return place_of(url), found

    def session(self, url: str, way: ServerSettings | None = None) -> Session:
        """A session for requests below an address.

        Raises:
            SourceError: a file or a variable that is named is missing or makes no sense.
        """
        self._authorization()
        self._require_private(url)
        session = Session()
        session.auth = _Login(self._authorization)
        session.params = dict(_AS_PROMETHEUS)
        session.hooks["response"] += [require_bounded, log_answer, require_good, require_whole]
        session.headers.update(self.headers)
        session.headers.update({name: _variable(env) for name, env in self.headers_env.items()})
        # A redirect leads to a login, or loses what was asked.
        session.max_redirects = 0
        session.verify = self._verify()
        session.cert = self._certificate()
        # Of the environment once: it takes longer than many an answer to look there each time.
        found = session.merge_environment_settings(url, {}, None, session.verify, None)
        session.verify, session.trust_env = found["verify"], False
        # A proxy of the environment is no way to this machine; its owner would read every secret.
        session.proxies = {} if is_loopback(urlsplit(url).hostname or "") else found["proxies"]
        # A new pod may be let out late: together 25 seconds of pauses.
        connect = 7 if in_pod() else 1
        retry = _Retry(
            total=max(3, connect),
            read=3,
            status=3,
            connect=connect,
            backoff_factor=0.2,
            status_forcelist=PASSING,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        adapter = _Through(way, retry) if way else _Direct(self.proxy_url, self._tls(), retry)
        # Longer than the address that the client mounts an adapter of its own on.
        session.mount(f"{url.rstrip('/')}/", adapter)
        return session

    def _require_private(self, url: str) -> None:
        """Make sure that no secret crosses the network unencrypted."""
        way = [urlsplit(each).hostname or "" for each in (url, self.proxy_url) if each]
        if not url.startswith("http:") or all(map(is_loopback, way)):
            return
        secrets = [f"the password of {self.username}"] if self.username is not None else []
        secrets += ["the bearer token"] if self.bearer_token_file or self.bearer_token_env else []
        if secrets := [*secrets, *self.headers_env]:
            raise SourceError(
                f"{place_of(url)} is plain http, which would expose "
                f"{' and '.join(secrets)} on the network",
                "give an https:// address, or a tunnel on this machine (ssh -L, "
                "kubectl port-forward)",
            )

    def _authorization(self) -> str | None:
        if self.username is not None:
            return f"Basic {b64encode(f'{self.username}:{self._password()}'.encode()).decode()}"
        if self.bearer_token_file or self.bearer_token_env:
            token = _secret(self.bearer_token_file, self.bearer_token_env)
            if not (token.isascii() and token.isprintable()):
                raise SourceError(
                    "the bearer token has characters that are not allowed",
                    "check that bearerTokenFile or bearerTokenEnv names a token",
                )
            return f"Bearer {token}"
        return None

    def _password(self) -> str:
        if self.password is not None:
            return self.password
        return _secret(self.password_file, self.password_env)

    def redacted(self, text: str) -> str:
        """A foreign text, without the secrets that were sent."""
        sent = [self._authorization() or "", *map(_variable, self.headers_env.values())]
        if self.username is not None:
            sent.append(self._password())
        for secret in filter(None, (*sent, sent[0].partition(" ")[2])):
            text = text.replace(secret, "***")
        return text

    def _verify(self) -> str | bool:
        if self.insecure_skip_verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            return False
        if self.ca_file:
            try:
                with files.opened(Path(self.ca_file)):
                    ssl.create_default_context(cafile=self.ca_file)
            except OSError as error:
                raise _unusable("caFile", self.ca_file, error) from None
        return self.ca_file or True

    def _tls(self) -> ssl.SSLContext | None:
        """None: as requests does it."""
        if not self.ca_file:
            return None
        # Python 3.13 refuses authorities without key usage or key identifiers, which many a one of
        # a house's own has not; other programs take them.
        context = create_urllib3_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def _certificate(self) -> str | tuple[str, str] | None:
        if not self.cert_file:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            for file in filter(None, (self.cert_file, self.key_file)):
                with files.opened(Path(file)):
                    pass
            # A key with a password would ask for it on the terminal.
            context.load_cert_chain(self.cert_file, self.key_file, password="")
        except (OSError, ValueError) as error:
            raise _unusable("certFile and keyFile", self.cert_file, error) from None
        return (self.cert_file, self.key_file) if self.key_file else self.cert_file


class _Login(AuthBase):
    """Says who one is at each request; without it `~/.netrc` would."""

    def __init__(self, authorization: Callable[[], str | None]) -> None:
        self._authorization = authorization

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        if value := self._authorization():
            r.headers["Authorization"] = value
        return r


class _Direct(HTTPAdapter):
    """By a proxy that was named, whatever the environment says; else by the environment's."""

    def __init__(self, proxy: str | None, tls: ssl.SSLContext | None, retry: Retry) -> None:
        self._tls: dict[str, Any] = {"ssl_context": tls} if tls else {}
        super().__init__(max_retries=retry)
        self._proxies = {"http": proxy, "https": proxy} if proxy else None

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **(options | self._tls))

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **(options | self._tls))

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        if self._proxies:
            options["proxies"] = self._proxies
        return super().send(request, *args, **options)


class _Through(HTTPAdapter):
    """By connections that exist; they know whom to trust."""

    def __init__(self, way: ServerSettings, retry: Retry) -> None:
        super().__init__(max_retries=retry)
        self._way = way

    def get_connection_with_tls_context(self, request: PreparedRequest, *_: Any, **__: Any) -> Any:
        return self._way.pool.connection_from_url(request.url or "")

    def cert_verify(self, *_: Any, **__: Any) -> None:
        pass

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        plain = (request.url or "").startswith("http:") and self._way.pool.proxy
        return str(request.url if plain else request.path_url)

    def add_headers(self, request: PreparedRequest, **_: Any) -> None:
        for name, value in self._way.headers():
            request.headers[name] = value


def place_of(url: str) -> str:
    """An address without user, password, query and the slash at its end."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def _secret(file: str | None, env: str | None) -> str:
    if file is None:
        return _variable(env or "")
    try:
        text = files.read(Path(file), _LONGEST_SECRET).decode().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise SourceError(f"{file}: {reason}", "write the secret into it") from None
    if not text:
        raise SourceError(f"{file}: empty", "write the secret into it")
    return text


def _variable(name: str) -> str:
    if value := os.environ.get(name, "").strip():
        return value
    raise SourceError(f"${name} is not set", "set it: source.prometheus reads a secret from it")


def _unusable(key: str, path: str, error: Exception) -> SourceError:
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return SourceError(
        f"source.prometheus.tlsConfig.{key}: {path}: {reason}",
        "it must be PEM; its path is relative to the working directory",
    )
