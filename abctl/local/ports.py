"""Free ports of this machine."""

import socket
from contextlib import ExitStack

from abctl.errors import ClusterError
from abctl.local.stack import HOST


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def require_free(port: int) -> None:
    """Make sure that nobody listens on a port.

    Envoy does not notice by itself: it shares its port with any other Envoy of the same user.

    Raises:
        ClusterError: somebody does, or may listen on it.
    """
    with socket.socket() as probe:
        # Connections that linger after a server has ended are no server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            raise ClusterError(
                f"port {port} of {HOST} cannot be used: {error.strerror}",
                "choose another one with --port, or leave it out for a free one",
            ) from None
