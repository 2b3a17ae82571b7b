import socket

import pytest

from abctl.errors import ClusterError
from abctl.local.ports import free_ports, require_free


def test_free_ports_differ_and_are_free() -> None:
    found = free_ports(50)
    assert len(set(found)) == 50
    for port in found:
        require_free(port)


@pytest.mark.parametrize("shared", [False, True])
def test_a_taken_port_is_named_even_if_it_could_be_shared(shared: bool) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(ClusterError, match=f"port {port} of") as error:
            require_free(port)
    assert "--port" in error.value.hint
    require_free(port)
