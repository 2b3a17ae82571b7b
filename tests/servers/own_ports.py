"""Ports for the servers of a test, which nobody else gets."""

import atexit
from contextlib import ExitStack

from abctl.local.ports import kept

_HELD = ExitStack()
atexit.register(_HELD.close)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; they stay the tests' own until all tests are over."""
    return _HELD.enter_context(kept(count))
