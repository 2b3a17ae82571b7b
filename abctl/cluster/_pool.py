"""Connections for others than the door, and through proxies: those of urllib3, slow to import."""

import ssl
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, SSLError

from abctl.cluster._line import Answer, Headers, NoAnswerError, too_late
from abctl.cluster.kubeconfig import unusable
from abctl.waiting import within


def pool(
    tls: ssl.SSLContext | None, name: str | None, proxy: str | None = None
) -> urllib3.PoolManager:
    """Connections that are made when they are needed, and kept.

    Args:
        tls: for https addresses.
        name: what the server's certificate calls it; None: the host of its address.
        proxy: what is between, if anything.

    Raises:
        UnreachableError: a proxy that cannot be.
    """
    settings: dict[str, Any] = {}
    if tls:
        settings["ssl_context"] = tls
        if tls.verify_mode is ssl.CERT_NONE:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if name:
            settings["server_hostname"] = name
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
        raise unusable("a SOCKS proxy needs the package PySocks") from None
    except (ValueError, HTTPError):
        shown = f"{parts.scheme}://{parts.hostname}"  # without its password
        raise unusable(f"the proxy {shown} is no address") from None


class Proxied:
    """A `Line` through a proxy.

    Args:
        server: the address that all paths begin with.
        pool: connections that go through it.
    """

    def __init__(self, server: str, pool: urllib3.PoolManager) -> None:
        self._server, self.pool = server, pool

    def ask(
        self, method: str, path: str, headers: Headers, body: bytes | None, timeout_seconds: float
    ) -> Answer:
        """The answer to one request."""
        said = urllib3.HTTPHeaderDict()
        for name, value in headers:
            said.add(name, value)
        ask = partial(
            self.pool.request,
            method,
            f"{self._server}{path}",
            body=body,
            headers=said,
            timeout=timeout_seconds,
            retries=False,
            redirect=False,
        )
        try:
            answer = within(timeout_seconds, ask)
        except TimeoutError:
            raise too_late(timeout_seconds, sent=True) from None
        except HTTPError as error:
            sent = not isinstance(error, NewConnectionError | MaxRetryError)
            distrusted = isinstance(error, SSLError)
            raise NoAnswerError(error, sent=sent, distrusted=distrusted) from error
        return Answer(answer.status, answer.headers, answer.data)
