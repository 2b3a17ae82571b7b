"""Stacks of tiny servers, so that supervision is tested without the weight of real ones."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from own_ports import free_ports

from abctl.local import lifecycle
from abctl.local.identity import Identity
from abctl.local.plan import Command, Plan
from abctl.local.stack import Stack

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
def launch(tmp_path: Path, started: object) -> Callable[..., Path]:
    """Starts a stack of Python programs that are told their port; gives its folder."""

    def launched(
        name: str = "stack",
        *,
        starter: Identity = OWN,
        tied: bool = False,
        ready_text: str = "",
        **codes: str,
    ) -> Path:
        state_dir = tmp_path / name
        with lifecycle.locked(state_dir) as lock:
            assert lock is not None
            lifecycle.prepare(state_dir)
            codes = codes or {"one": SERVE, "two": SERVE}
            plan = planned(state_dir, codes, starter, tied, ready_text)
            lifecycle.launch(plan, lock)
        return state_dir

    return launched
