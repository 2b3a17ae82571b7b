"""How to talk to an API server, as a kubeconfig or a pod says: who we are, TLS, and the proxy.

Who we are is told by headers and certificates. The proxy is found by the rules of kubectl.
"""

import logging
import os
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit

from abctl.cluster.kubeconfig import Entry, unusable
from abctl.files import opened, read
from abctl.files import read as read_file

_log = logging.getLogger(__name__)
Certificate = tuple[Path | bytes, Path | bytes]
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Credentials:
    """How to say who one is.

    Attributes:
        authorization: gives the value of the header, anew for each request; None for no header.
        certificate: with its key; each a file, or what would be in one.
        impersonation: headers by which one is somebody else.
    """

    authorization: Callable[[], str | None] = lambda: None
    certificate: Certificate | None = None
    impersonation: Headers | None = None

    def headers(self) -> Headers:
        """The headers of a request.

        Raises:
            UnreachableError: what should be a token is none.
        """
        value = self.authorization()
        if value and not (value.isascii() and value.isprintable()):
            raise unusable("the token has characters that no token has")
        named = [("Authorization", value)] if value else []
        return [*named, *(self.impersonation or ())]


def of_file(path: Path) -> Credentials:
    """By a token in a file that somebody else keeps fresh."""

    def read() -> str:
        try:
            token = read_file(path).decode().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no text"
            raise unusable(f"{path}: {reason}") from None
        if not token:
            raise unusable(f"{path}: no token in it")
        return f"Bearer {token}"

    return Credentials(read)


def of_user(user: Entry, cluster: Entry) -> Credentials:
    """As a user of a kubeconfig.

    Raises:
        UnreachableError: what it says makes no sense, or no credential can be had.
    """
    certificate, authorization = _certificate(user), Credentials().authorization
    if user.values.get("auth-provider") or (user.values.get("exec") and not user.text("token")):
        # The official client takes a third of a second to import: not for those who have a token.
        from abctl.cluster import _credential_programs  # noqa: PLC0415

        authorization, given = _credential_programs.credentials(user, cluster)
        certificate = given or certificate
    elif token := user.text("token"):
        authorization = lambda: f"Bearer {token}"  # noqa: E731 - one of several
    elif path := user.path("tokenFile"):
        authorization = of_file(path).authorization
    elif (name := user.text("username")) and (password := user.text("password")):
        encoded = b64encode(f"{name}:{password}".encode()).decode()
        authorization = lambda: f"Basic {encoded}"  # noqa: E731 - one of several
    known = ("auth-provider", "token", "exec", "tokenFile", "username")
    used = next((key for key in known if user.values.get(key)), "none")
    also = ", client-certificate" if certificate else ""
    _log.debug("%s: credentials: %s%s", user.words, used, also)
    return Credentials(authorization, certificate, _impersonation(user))


def _certificate(user: Entry) -> Certificate | None:
    parts = [user.data(key) or user.path(key) for key in ("client-certificate", "client-key")]
    certificate, key = parts
    if certificate and key:
        return certificate, key
    if certificate or key:
        raise unusable(f"{user.words}: client-certificate and client-key go together")
    return None


def _impersonation(user: Entry) -> Headers:
    groups, extra = user.values.get("as-groups") or (), user.values.get("as-user-extra") or {}
    if not isinstance(groups, list | tuple) or not isinstance(extra, Mapping):
        raise unusable(f"{user.words}: as-groups must be a list, as-user-extra a mapping")
    fields = [("User", user.text("as")), ("Uid", user.text("as-uid"))]
    fields += [("Group", group) for group in groups]
    for key, values in extra.items():
        fields += [(f"Extra-{quote(key.lower(), safe='')}", value) for value in values or ()]
    headers = [(f"Impersonate-{key}", value) for key, value in fields if value]
    if headers and not user.text("as"):
        raise unusable(f"{user.words}: as-uid, as-groups and as-user-extra need `as`")
    return headers


def context(cluster: Entry, certificate: Certificate | None) -> ssl.SSLContext:
    """Verifies whom it talks to, unless the kubeconfig says that it shall not.

    Raises:
        UnreachableError: no certificate where one should be.
    """
    authority = cluster.data("certificate-authority")
    try:
        if authority is None and (path := cluster.path("certificate-authority")):
            authority = read(path)
        tls = ssl.create_default_context(cadata=authority and authority.decode())
        if authority is not None:
            # Python 3.13 refuses authorities without key usage or key identifiers. Some clusters
            # have such (Amazon's, older MicroK8s), and kubectl takes them.
            tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    except (ssl.SSLError, ValueError):
        raise unusable(f"{cluster.words}: certificate-authority: no certificate in it") from None
    except OSError as error:
        raise unusable(f"{cluster.words}: certificate-authority: {error.strerror}") from None
    if cluster.values.get("insecure-skip-tls-verify") is True:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["http/1.1"])
    if certificate:
        try:
            with ExitStack() as held:
                chain, key = (held.enter_context(_file(part)) for part in certificate)
                tls.load_cert_chain(chain, key, password=_no_password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise unusable(f"client-certificate and client-key: {reason}") from None
    return tls


@contextmanager
def _file(part: Path | bytes) -> Iterator[Path]:
    """A file that holds it; one of ours can be read by nobody else and is gone at once."""
    if isinstance(part, Path):
        with opened(part):
            yield part
        return
    from tempfile import NamedTemporaryFile  # noqa: PLC0415

    with NamedTemporaryFile() as file:
        file.write(part)
        file.flush()
        yield Path(file.name)


def _no_password() -> str:
    """Instead of a question by OpenSSL."""
    raise ValueError("the key is encrypted, which kubectl does not know either")


def between(server: str, cluster: Entry) -> str | None:
    """The proxy of a cluster's kubeconfig, else that of the environment; None for none."""
    return cluster.text("proxy-url") or _of_environment(urlsplit(server))


def _of_environment(server: SplitResult) -> str | None:
    for name in (f"{server.scheme.upper()}_PROXY", f"{server.scheme}_proxy"):
        if proxy := os.environ.get(name):
            exempt = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
            return None if _is_exempt(server, exempt) else proxy
    return None


def _is_exempt(server: SplitResult, rules: str) -> bool:
    """Whether no proxy is used, by the rules of Go, which are kubectl's."""
    from ipaddress import ip_address, ip_network  # noqa: PLC0415 - few have a proxy

    host = (server.hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address and address.is_loopback):
        return True
    port = server.port or (443 if server.scheme == "https" else 80)
    for rule in filter(None, (word.strip().lower() for word in rules.split(","))):
        name = rule.removesuffix(f":{port}")
        if address:
            try:
                matches = address in ip_network(name.strip("[]"), strict=False)
            except ValueError:
                matches = False
        else:
            name = name.removeprefix("*")
            matches = host == name or host.endswith(f".{name.removeprefix('.')}")
        if rule == "*" or matches:
            return True
    return False
