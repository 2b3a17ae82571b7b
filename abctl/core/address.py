"""Addresses: a URL as its parts, and what is on this machine."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from abctl.errors import UsageError


def is_loopback(host: str) -> bool:
    """Whether requests to a host stay on this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True)
class Entrance:
    """The address to which requests go: the parts of a URL.

    >>> entrance = Entrance.parse("https://iris.example.com/models/")
    >>> entrance.authority, entrance.path, entrance.loopback
    ('iris.example.com:443', '/models', False)
    """

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "Entrance":
        """The parts of `http(s)://host[:port][/path]`.

        Raises:
            UsageError: the text is not such a URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError(
                f"url {_told(url)!r}: {error}", "write http://127.0.0.1:8080"
            ) from None
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.username:
            raise UsageError(
                f"url {_told(url)!r} is not an http(s) address", "write http://127.0.0.1:8080"
            )
        tls = parts.scheme == "https"
        return cls(host, port or (443 if tls else 80), parts.path.rstrip("/"), tls)

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)


def _told(url: str) -> str:
    """An address without what may be a password or a token in it."""
    return url.rpartition("@")[2].partition("?")[0]
