"""Starts, waits for and stops the supervisor of a folder; the lock says whether there is one."""

import contextlib
import fcntl
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from abctl.errors import ClusterError, NotFoundError, NotReadyError, UsageError
from abctl.local import disk, logs
from abctl.local import plan as plans
from abctl.local import stack as stacks
from abctl.local.identity import wait_for
from abctl.local.plan import Plan
from abctl.local.ports import PortTakenError, was_taken
from abctl.local.stack import SUPERVISOR, Process, Stack
from abctl.local.supervisor import GRACE_SECONDS

LOCK_FILE = "stack.lock"
# What earlier stacks left that must not be lost, a folder each.
EARLIER = "earlier"
_POLL_SECONDS = 0.05
# What would change a model server behind the experiment's back.
_NOT_INHERITED = ("MLSERVER_", "AB_", "PROMETHEUS_MULTIPROC_DIR")


def prepare(state_dir: Path, *, keep: bool = False) -> Path | None:
    """Make the folder, or empty it of an earlier stack.

    Args:
        state_dir: the folder.
        keep: move aside what is there; else it is removed, but for what was kept before.

    Returns:
        Where it was moved.

    Raises:
        UsageError: it holds other files than those of a stack.
    """
    require_own(state_dir)
    state_dir.mkdir(parents=True, exist_ok=True)
    left = [path for path in state_dir.iterdir() if path.name not in (LOCK_FILE, EARLIER)]
    aside = _new_folder(state_dir / EARLIER) if keep and left else None
    for path in left:
        if aside is not None:
            path.rename(aside / path.name)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (state_dir / logs.FOLDER).mkdir()
    return aside


def _new_folder(parent: Path) -> Path:
    """One called after the moment; there may be another one of the same second."""
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in itertools.count():
        folder = parent / (f"{name}-{number}" if number else name)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError  # numbers do not end


def require_own(state_dir: Path) -> None:
    """Make sure that a folder may be emptied.

    Raises:
        UsageError: it is not a folder, or has other files than those of a stack.
    """
    stacks.require_folder(state_dir)
    if state_dir.exists() and any(state_dir.iterdir()) and not (state_dir / LOCK_FILE).exists():
        raise UsageError(
            f"--state {state_dir}: has files that do not belong to a local stack",
            "name an empty or a new folder",
        )


def require_idle(state_dir: Path) -> None:
    """Make sure that a folder may be emptied, and that no stack runs there; nothing is written.

    Raises:
        UsageError: it is not that of a stack.
        ClusterError: a stack runs there.
    """
    require_own(state_dir)
    if (state_dir / LOCK_FILE).exists() and not _free(state_dir):
        refuse(state_dir)


def refuse(state_dir: Path) -> NoReturn:
    """Say that a stack runs in a folder.

    Raises:
        ClusterError: always.
    """
    raise ClusterError(
        f"a stack runs in {state_dir} already",
        f"stop it (abctl local down --state {state_dir}), or name another folder with --state",
    )


@contextlib.contextmanager
def locked(state_dir: Path) -> Iterator[int | None]:
    """The folder's lock as an open file; None while another process has it."""
    require_own(state_dir)
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(state_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield lock
    finally:
        os.close(lock)


def launch(plan: Plan, lock: int) -> None:
    """Start a supervisor, in a session of its own, and hand it the lock."""
    state_dir = plan.stack.state_dir
    plans.write(plan)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    with logs.path(state_dir, SUPERVISOR).open("ab") as log:
        subprocess.run(
            [sys.executable, "-P", "-m", "abctl.local.supervisor", str(state_dir)],
            check=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )


def wait_ready(state_dir: Path, timeout_seconds: float, report: Callable[[str], None]) -> Stack:
    """Wait until everything answers; what becomes ready is reported.

    Raises:
        PortTakenError: another process has a port of the stack.
        ClusterError: a process ended for another reason, with its last lines.
        NotReadyError: not in time, with the last lines of what is late.
    """
    deadline = time.monotonic() + timeout_seconds
    reported: set[str] = {SUPERVISOR}
    while True:
        stack = _running(state_dir)
        if stack is not None:
            _require_good_start(stack)
            for process in stack.processes:
                if process.status == "ready" and process.name not in reported:
                    reported.add(process.name)
                    report(f"{process.name} is ready (pid {process.pid})")
            if stack.ready and len(stack.processes) > 1:
                return stack
        if time.monotonic() > deadline:
            raise _late(state_dir, stack, timeout_seconds)
        time.sleep(_POLL_SECONDS)


def stop(state_dir: Path) -> bool:
    """Stop whatever runs; False if nothing did. Also cleans up after a supervisor that was killed.

    Raises:
        NotReadyError: something cannot be ended, or is just being started.
    """
    if not (state_dir / LOCK_FILE).exists():
        return False
    found = False
    # Between taking the lock and writing the state a starting stack cannot be seen yet.
    wait_for(lambda: _free(state_dir) or stacks.known(state_dir), GRACE_SECONDS)
    with contextlib.suppress(NotFoundError):
        stack = stacks.read(state_dir)
        found = any(process.identity.alive for process in stack.processes)
        stack.supervisor.identity.stop(2 * GRACE_SECONDS)
        for process in stack.processes:
            process.identity.stop(GRACE_SECONDS)
    stacks.forget(state_dir)
    if not wait_for(lambda: _free(state_dir), 2 * GRACE_SECONDS):
        raise NotReadyError(f"another command is starting a stack in {state_dir}", "try again")
    return found


def remove(state_dir: Path) -> None:
    """Remove the folder of a stack that was stopped.

    Raises:
        ClusterError: another one is being started.
    """
    with locked(state_dir) as lock:
        if lock is None:
            raise ClusterError(
                f"a stack was just started in {state_dir}",
                f"stop it: abctl local down --state {state_dir}",
            )
        shutil.rmtree(state_dir)


def _free(state_dir: Path) -> bool:
    with locked(state_dir) as lock:
        return lock is not None


def _running(state_dir: Path) -> Stack | None:
    try:
        return stacks.read(state_dir)
    except NotFoundError:
        if not _free(state_dir):
            return None
    log = logs.path(state_dir, SUPERVISOR)
    raise ClusterError(
        f"the supervisor of {state_dir} ended; its last lines:\n{logs.last(log)}",
        _why(state_dir, log),
    )


def _require_good_start(stack: Stack) -> None:
    for process in stack.processes:
        if process.status != "ready" and was_taken(process.log):
            raise PortTakenError(*_obituary(process, "found its port taken"))
    # How it ended, the supervisor writes down a moment later.
    alive = stack.supervisor.identity.alive
    if dead := [p for p in stack.dead if p.exit_code is not None or not alive]:
        raise ClusterError(*_obituary(dead[0], dead[0].ending))


def _obituary(process: Process, what: str) -> tuple[str, str]:
    message = f"{process.name} {what}; its last lines:\n{logs.last(process.log)}"
    return message, _why(process.log.parent, process.log)


def _why(folder: Path, log: Path) -> str:
    return disk.full(folder) or f"its whole log: {log}"


def _late(state_dir: Path, stack: Stack | None, timeout_seconds: float) -> NotReadyError:
    late = [p for p in stack.processes if p.status != "ready"] if stack else []
    ends = "".join(f"\n{p.name}:\n{logs.last(p.log)}" for p in late)
    names = ", ".join(p.name for p in late) or "the supervisor"
    return NotReadyError(
        f"not ready after {timeout_seconds:g} s: {names}; the last lines:{ends}",
        f"more in {state_dir / logs.FOLDER}; a slow machine may need --timeout",
    )
