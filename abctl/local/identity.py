"""Which process is meant: a pid alone may belong to another process by now."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from abctl.errors import NotReadyError

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.02
# On Linux the kernel ends the children of a supervisor that dies; elsewhere nothing does.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Identity:
    """A process of this machine; `born` distinguishes it from a later one with the same pid."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this pid now; `born` is empty where there is none."""
        return cls(pid, _born(pid))

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return bool(self.born) and _born(self.pid) == self.born

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still is the same process."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL if that has not ended it in time; returns when it is gone.

        Raises:
            NotReadyError: not even SIGKILL ended it.
        """
        self.send(signal.SIGTERM)
        if not wait_for(lambda: not self.alive, grace_seconds):
            self.send(signal.SIGKILL)
            if not wait_for(lambda: not self.alive, grace_seconds):
                raise NotReadyError(
                    f"process {self.pid} does not end, even after SIGKILL",
                    f"it waits in the kernel, perhaps for a disk: cat /proc/{self.pid}/stack",
                )


def wait_for(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return met


def die_with(parent: int) -> Callable[[], None]:
    """What a new child does first, so that the kernel ends it with its parent, however that ends.

    On systems without such a kernel it does nothing.
    """

    def bind() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return bind


def _born(pid: int) -> str:
    if sys.platform != "linux":
        command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
        state, _, started = (
            subprocess.run(  # noqa: PLW1510 - no such process is an answer
                command, capture_output=True, text=True
            )
            .stdout.strip()
            .partition(" ")
        )
        return "" if state.startswith("Z") else started.strip()
    try:
        # The name of the program, in parentheses, may hold anything; what follows is numbered.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state in "ZX" else f"{_boot()}/{fields[18]}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
