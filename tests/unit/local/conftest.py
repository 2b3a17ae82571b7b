"""Stacks of tiny servers, so that supervision is tested without the weight of real ones."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_server import missing
from own_ports import free_ports

from abctl.local import lifecycle
from abctl.local.identity import Identity
from abctl.local.plan import Command, Plan
from abctl.local.stack import Stack

# Of the kernel's headers: sched.h and mount.h.
_NEW_MOUNTS, _RECURSIVE, _PRIVATE, _DETACH = 0x20000, 0x4000, 0x40000, 2
OWN = Identity.of(os.getpid())
SERVE = """
import http.server as h, sys
h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


def command(name: str, code: str, folder: Path, ready_text: str) -> Command:
    (port,) = free_ports(1)
    argv = (sys.executable, "-u", "-c", code, str(port))
    return Command(name, argv, folder, {}, port, "/", ready_text)


def planned(
    state_dir: Path, codes: dict[str, str], starter: Identity, tied: bool, ready_text: str
) -> Plan:
    stack = Stack(
        experiment=state_dir.name,
        state_dir=state_dir,
        started=0.0,
        entrance_url="http://127.0.0.1:1",
        envoy_admin_url="http://127.0.0.1:2",
        prometheus_url=None,
        servers=(),
        processes=(),
    )
    commands = tuple(command(name, code, state_dir, ready_text) for name, code in codes.items())
    return Plan(stack, commands, starter, tied)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes, which this test and its children alone see, and which is gone then.

    The mount is in a namespace of this thread's own, which takes the rights of root.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments):
            missing(f"a full disk: {name} says {os.strerror(ctypes.get_errno())} (needs root)")

    folder = tmp_path / "disk"
    folder.mkdir()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        call("unshare", _NEW_MOUNTS)
        try:
            call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
            call("mount", b"small", bytes(folder), b"tmpfs", 0, b"size=2m")
            yield folder
        finally:
            libc.umount2(bytes(folder), _DETACH)
            call("setns", before, _NEW_MOUNTS)
    finally:
        os.close(before)


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """What a stack of two such programs is, for a folder."""

    def made(state_dir: Path, *, tied: bool) -> Plan:
        return planned(state_dir, {"one": SERVE, "two": SERVE}, OWN, tied, "")

    return made


@pytest.fixture
def launch(tmp_path: Path, started: object) -> Callable[..., Path]:
    """Starts a stack of Python programs that are told their port; gives its folder."""

    def launched(
        name: str = "stack",
        *,
        starter: Identity = OWN,
        tied: bool = False,
        under: Path = tmp_path,
        ready_text: str = "",
        **codes: str,
    ) -> Path:
        state_dir = under / name
        with lifecycle.locked(state_dir) as lock:
            assert lock is not None
            lifecycle.prepare(state_dir)
            codes = codes or {"one": SERVE, "two": SERVE}
            plan = planned(state_dir, codes, starter, tied, ready_text)
            lifecycle.launch(plan, lock)
        return state_dir

    return launched
