"""Statements that take long: how far they are, and Ctrl-C, which ends them in the engine too.

A driver may wait where no signal reaches it, and an engine that is not told goes on by itself. So
what is asked runs in a thread of its own, and the one that was interrupted tells the engine.
"""

import atexit
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from abctl.waiting import begun

T = TypeVar("T")
Told = Callable[[int, int], None]
Cancel = Callable[[], object]
Percent = Callable[[], float]

_TOLD_SECONDS = 0.1
# An engine that began just now may not hear it at first, and one that is gone never does.
_CANCELS, _CANCEL_SECONDS = 50, 0.2


def silent(_done: int, _all: int) -> None:
    """Nobody listens."""


def _unknown() -> float:
    return 0.0


@dataclass
class Running:
    """Statements, one after the other.

    >>> heard = []
    >>> running = Running(lambda done, of: heard.append((done, of)))
    >>> running.expects(2)
    >>> running.run(lambda: 40 + 2), heard
    (42, [(100, 200)])

    Attributes:
        told: hears how much is done, and of how much: 100 for each statement.
        done: statements that are over.
        total: how many there will be, as far as anybody knows.
    """

    told: Told = field(default=silent)
    done: int = 0
    total: int = 1

    def expects(self, more: int) -> None:
        """Say how many statements are still to come."""
        self.total = self.done + more

    def run(
        self,
        action: Callable[[], T],
        cancel: Cancel | None = None,
        percent: Percent = _unknown,
        *,
        part: bool = False,
    ) -> T:
        """What a statement gives.

        Args:
            action: runs it.
            cancel: has the engine end it; None where nothing can.
            percent: how much of it is done (0 to 100).
            part: whether it is only a part of a statement.

        Raises:
            KeyboardInterrupt: it was interrupted, and does not run any more.
        """
        found = begun(action)
        try:
            while not wait((found,), _TOLD_SECONDS).done:
                self._tell(percent())
        except BaseException:
            _end(found, cancel)
            raise
        if not part:
            self.done += 1
            self._tell(0.0)
        return found.result()

    def _tell(self, percent: float) -> None:
        total = max(self.total, self.done)
        now = self.done * 100 + round(min(max(percent, 0.0), 99.0))
        self.told(min(now, total * 100), total * 100)


def _end(found: Future[T], cancel: Cancel | None) -> None:
    for _ in range(_CANCELS):
        if cancel is None or found.done():
            break
        with suppress(Exception):  # the connection may be gone; each driver has errors of its own
            cancel()
        wait((found,), _CANCEL_SECONDS)
    if not found.done():
        atexit.register(_leave, found)


def _leave(found: Future[T]) -> None:
    """A thread that comes back from a driver while the interpreter ends would abort the process."""
    if not found.done():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(130)
