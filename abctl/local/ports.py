"""Ports of this machine, kept free for servers that are yet to be started."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from abctl.errors import ClusterError
from abctl.local.stack import HOST

_ANY = ""
_WORDS_OF_A_TAKEN_PORT = (
    os.strerror(errno.EADDRINUSE).lower(),
    f"cannot listen() errno={errno.EADDRINUSE}",  # Envoy's, which goes on
    "failed to bind to address",  # gRPC's
)


class PortTakenError(ClusterError):
    """A server cannot listen, because another process does on its port."""


@contextmanager
def kept(count: int, *named: int) -> Iterator[list[int]]:
    """Ports for servers that are started within the block: the named ones, then free ones.

    A socket that is bound and does not listen keeps each port: the kernel gives it to no server or
    connection that asks for any port. A server that asks for it by number and sets SO_REUSEADDR,
    as servers do, may listen beside that socket. So may a foreign server: `was_taken` says whether
    one was first. Linux works so; where a socket also keeps out servers, the ports are free, but
    nothing keeps them.

    Raises:
        ClusterError: another process has a named port, or no process may have it.
    """
    with ExitStack() as held:
        for port in named:
            try:
                _bind(HOST, port, held)
            except OSError as error:
                raise ClusterError(
                    f"port {port} of {HOST} cannot be used: {error.strerror}",
                    "choose another one with --port, or leave it out for a free one",
                ) from None
        found = [*named, *(_bind(_ANY, 0, held) for _ in range(count - len(named)))]
        if not all(_lets_servers_in(port) for port in found):
            held.close()
        yield found


def require_free(port: int) -> None:
    """Make sure that no process listens on a port that was named.

    Raises:
        ClusterError: another process does.
    """
    with kept(1, port):
        pass


def was_taken(log: Path) -> bool:
    """Whether a server reports that another process has its port."""
    said = log.read_text("utf-8", "replace").lower() if log.exists() else ""
    return any(words in said for words in _WORDS_OF_A_TAKEN_PORT)


def _lets_servers_in(port: int) -> bool:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
            server.listen()
        except OSError:
            return False
    return True


def _bind(host: str, port: int, held: ExitStack) -> int:
    keeper = held.enter_context(socket.socket())
    # Connections that linger after a server has ended do not count.
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind((host, port))
    number: int = keeper.getsockname()[1]
    return number
