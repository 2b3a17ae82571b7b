import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from abctl.errors import ClusterError
from abctl.local.ports import kept, was_taken

HOST = "127.0.0.1"
KEEP = """
import sys
from abctl.local.ports import kept
with kept(9) as found:
    print(*found, flush=True)
    sys.stdin.read()
"""
# Of Linux, since 6.3; without it the tests that use it see a thief only by chance.
IP_LOCAL_PORT_RANGE = 51


@pytest.fixture
def ports() -> Iterator[list[int]]:
    with kept(20) as found:
        yield found


def test_a_server_may_listen_on_a_kept_port(ports: list[int]) -> None:
    assert len(set(ports)) == 20
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port))
        with socket.create_server((HOST, port)) as server, socket.create_connection((HOST, port)):
            server.accept()[0].close()


def bound(wanting: socket.socket, reuse: bool) -> None:
    wanting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    wanting.bind((HOST, 0))


def connected(wanting: socket.socket, _: bool) -> None:
    with socket.create_server((HOST, 0)) as server:
        wanting.connect(server.getsockname())


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("take", [bound, connected])
def test_who_wants_any_port_is_not_given_a_kept_one(
    ports: list[int], take: Callable[[socket.socket, bool], None], reuse: bool
) -> None:
    for port in ports:
        with socket.socket() as wanting:
            with contextlib.suppress(OSError):  # the kernel is left no choice but one port
                only = port.to_bytes(2, sys.byteorder) * 2
                wanting.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, only)
            with contextlib.suppress(OSError):
                take(wanting, reuse)
            assert wanting.getsockname()[1] != port


def test_where_no_server_may_listen_on_a_kept_port_it_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("abctl.local.ports._lets_servers_in", lambda _: False)
    with kept(2) as (port, _), socket.socket() as server:
        server.bind((HOST, port))  # without SO_REUSEADDR


@pytest.mark.process
def test_whoever_keeps_ports_at_the_same_time_has_others() -> None:
    with ExitStack() as held:
        many = [
            held.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", KEEP],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(20)
        ]
        found = [port for each in many if each.stdout for port in each.stdout.readline().split()]
    assert len(set(found)) == len(found) == 20 * 9


@pytest.mark.parametrize("shared", [False, True])
def test_a_taken_port_is_named_even_if_it_could_be_shared(shared: bool) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(ClusterError, match=f"port {port} of") as error, kept(2, port):
            pass
    assert "--port" in error.value.hint
    with kept(2, port) as (first, second):
        assert first == port != second


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("OSError: [Errno 98] Address already in use", True),
        ("listen tcp 127.0.0.1:9090: bind: address already in use\nmore", True),
        ("RuntimeError: Failed to bind to address 127.0.0.1:9; set GRPC_VERBOSITY=debug", True),
        ("error: no model", False),
        (None, False),
    ],
)
def test_a_server_says_that_it_came_too_late(tmp_path: Path, said: str | None, taken: bool) -> None:
    log = tmp_path / "log"
    if said is not None:
        log.write_text(said)
    assert was_taken(log) == taken
