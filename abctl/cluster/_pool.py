"""Connections to an API server: TLS as a kubeconfig wants it, and proxies as kubectl uses them."""

import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3

from abctl.cluster._login import Certificate
from abctl.cluster.kubeconfig import Entry, unusable


def pool(server: str, cluster: Entry, certificate: Certificate | None) -> urllib3.PoolManager:
    """Connections that are made when they are needed, and kept.

    Raises:
        UnreachableError: no certificate where one should be, or a proxy that cannot be.
    """
    settings: dict[str, Any] = {}
    if server.startswith("https:"):
        settings["ssl_context"] = _tls(cluster, certificate)
        if name := cluster.text("tls-server-name"):
            settings["server_hostname"] = name
    proxy = cluster.text("proxy-url") or _proxy_of_environment(urlsplit(server))
    if proxy is None:
        return urllib3.PoolManager(**settings)
    parts = urlsplit(proxy)
    try:
        if parts.scheme.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - needs PySocks

            return SOCKSProxyManager(proxy, **settings)
        if parts.username:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            settings["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=secret)
        return urllib3.ProxyManager(proxy, **settings)
    except ImportError:
        raise unusable(f"{cluster.words}: a SOCKS proxy needs the package PySocks") from None
    except (ValueError, urllib3.exceptions.HTTPError):
        raise unusable(f"{cluster.words}: the proxy is no address") from None


def _tls(cluster: Entry, certificate: Certificate | None) -> ssl.SSLContext:
    """Verifies whom it talks to, unless the kubeconfig says that it shall not."""
    authority = cluster.data("certificate-authority")
    try:
        if authority is None and (path := cluster.path("certificate-authority")):
            authority = path.read_bytes()
        tls = ssl.create_default_context(cadata=authority and authority.decode())
    except (ssl.SSLError, ValueError):
        raise unusable(f"{cluster.words}: certificate-authority: no certificate in it") from None
    except OSError as error:
        raise unusable(f"{cluster.words}: certificate-authority: {error.strerror}") from None
    if cluster.values.get("insecure-skip-tls-verify") is True:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if certificate:
        with ExitStack() as held:
            chain, key = (held.enter_context(_file(part)) for part in certificate)
            try:
                tls.load_cert_chain(chain, key, password=_no_password)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise unusable(f"client-certificate and client-key: {reason}") from None
    return tls


@contextmanager
def _file(part: Path | bytes) -> Iterator[Path]:
    """A file that holds it; one of ours can be read by nobody else and is gone at once."""
    if isinstance(part, Path):
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


def _proxy_of_environment(server: SplitResult) -> str | None:
    for name in (f"{server.scheme.upper()}_PROXY", f"{server.scheme}_proxy"):
        if proxy := os.environ.get(name):
            exempt = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
            return None if _is_exempt(server, exempt) else proxy
    return None


def _is_exempt(server: SplitResult, rules: str) -> bool:
    """Whether no proxy is used, by the rules of Go, which are kubectl's."""
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
