"""A supervisor and its children, as real processes: nothing is hidden, nothing is left behind."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from api_server import DEADLINE_SECONDS as SECONDS

from abctl.errors import ClusterError, NotFoundError, NotReadyError
from abctl.local import lifecycle, stack
from abctl.local.identity import Identity, wait_for
from abctl.local.ports import PortTakenError

Launch = Callable[..., Path]
Started = Callable[[], dict[int, str]]
DEAF = "import time; time.sleep(600)"
BROKEN = "import sys; print('no such model'); sys.exit(3)"
LATE = "import socket as s; first = s.create_server(('', 0)); s.create_server(first.getsockname())"
DEAF_ENVOY = "print('for listener \\'iris\\' failed: cannot listen() errno=98'); " + DEAF


def silent(_: str) -> None:
    """Nobody listens."""


def pid(state_dir: Path, name: str) -> int:
    return next(p.pid for p in stack.read(state_dir).processes if p.name == name)


def recorded(state_dir: Path) -> int:
    try:
        return len(stack.read(state_dir).processes)
    except NotFoundError:
        return 0


def test_what_was_started_is_ready_and_stops_without_a_trace(
    launch: Launch, started: Started
) -> None:
    told: list[str] = []
    state_dir = launch()
    running = lifecycle.wait_ready(state_dir, SECONDS, told.append)
    assert running == stack.read(state_dir)
    assert [p.name for p in running.processes] == ["supervisor", "one", "two"]
    assert {p.pid for p in running.processes} == set(started())
    assert sorted(line.split()[0] for line in told) == ["one", "two"]
    assert lifecycle.stop(state_dir)
    assert not started()
    assert not lifecycle.stop(state_dir)
    with pytest.raises(NotFoundError):
        stack.read(state_dir)
    assert '"GET / HTTP/1.1" 200' in (state_dir / "logs" / "one.log").read_text()


def test_a_process_that_dies_is_reported_and_the_others_go_on(launch: Launch) -> None:
    state_dir = launch()
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    os.kill(pid(state_dir, "two"), signal.SIGKILL)
    assert wait_for(lambda: bool(stack.read(state_dir).dead), SECONDS)
    (dead,) = stack.read(state_dir).dead
    assert (dead.name, dead.ending) == ("two", "was ended by SIGKILL")
    assert stack.read(state_dir).supervisor.identity.alive
    assert lifecycle.stop(state_dir)


def test_a_killed_supervisor_takes_its_children_along(launch: Launch, started: Started) -> None:
    state_dir = launch(one=DEAF, two="import signal\nsignal.signal(15, signal.SIG_IGN)\n" + DEAF)
    assert wait_for(lambda: recorded(state_dir) == 3 == len(started()), SECONDS)
    os.kill(pid(state_dir, "supervisor"), signal.SIGKILL)
    assert wait_for(lambda: not started(), SECONDS)
    # Its memory is gone a moment before a process is.
    every = {"supervisor", "one", "two"}
    assert wait_for(lambda: {p.name for p in stack.read(state_dir).dead} == every, SECONDS)
    assert not lifecycle.stop(state_dir)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_that_is_asked_to_end_stops_its_children(
    launch: Launch, started: Started, number: signal.Signals
) -> None:
    state_dir = launch()
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    os.kill(pid(state_dir, "supervisor"), number)
    assert wait_for(lambda: not started(), SECONDS)
    with pytest.raises(NotFoundError):
        stack.read(state_dir)


def test_one_that_will_not_start_shows_its_last_lines(launch: Launch) -> None:
    state_dir = launch(good=DEAF, bad=BROKEN)
    with pytest.raises(ClusterError, match="bad ended with exit code 3") as error:
        lifecycle.wait_ready(state_dir, SECONDS, silent)
    assert not isinstance(error.value, PortTakenError)
    assert "no such model" in error.value.message
    assert str(state_dir / "logs" / "bad.log") in error.value.hint
    assert lifecycle.stop(state_dir)


@pytest.mark.parametrize("code", [LATE, DEAF_ENVOY])
def test_one_whose_port_is_taken_is_told_from_others(launch: Launch, code: str) -> None:
    state_dir = launch(good=DEAF, late=code)
    with pytest.raises(PortTakenError, match=r"(?s)late found its port taken;.*(in use|errno)"):
        lifecycle.wait_ready(state_dir, SECONDS, silent)
    assert lifecycle.stop(state_dir)


def test_ready_is_who_says_what_was_to_be_said(launch: Launch) -> None:
    state_dir = launch(ready_text="<title>Directory listing for /")
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    assert lifecycle.stop(state_dir)
    launch(ready_text="nobody says this")
    log = state_dir / "logs" / "one.log"
    assert wait_for(lambda: log.exists() and "GET / " in log.read_text(), SECONDS)
    with pytest.raises(NotReadyError, match="not ready"):
        lifecycle.wait_ready(state_dir, 1.0, silent)
    assert lifecycle.stop(state_dir)


def test_one_that_never_answers_is_named(launch: Launch) -> None:
    state_dir = launch(slow="print('loading'); " + DEAF)
    log = state_dir / "logs" / "slow.log"
    assert wait_for(lambda: log.exists() and "loading" in log.read_text(), SECONDS)
    with pytest.raises(NotReadyError, match=r"(?s)not ready after 1 s: slow.*loading"):
        lifecycle.wait_ready(state_dir, 1.0, silent)
    assert lifecycle.stop(state_dir)


def test_a_supervisor_that_fails_shows_its_last_lines(launch: Launch, tmp_path: Path) -> None:
    state_dir = tmp_path / "stack"
    launch(**{"no/such/folder": DEAF})
    with pytest.raises(ClusterError, match=r"(?s)supervisor of .* ended.*FileNotFoundError"):
        lifecycle.wait_ready(state_dir, SECONDS, silent)


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", DEAF]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("tied", "code"), [(False, DEAF), (True, None)])
def test_the_stack_ends_with_its_starter_until_ready_and_always_if_tied(
    launch: Launch, started: Started, tied: bool, code: str | None
) -> None:
    with sleeper() as starter:
        codes = {"one": code} if code else {}
        state_dir = launch(starter=Identity.of(starter.pid), tied=tied, **codes)
        if code:
            assert wait_for(lambda: len(started()) == 3, SECONDS)
        else:
            lifecycle.wait_ready(state_dir, SECONDS, silent)
        starter.kill()
    assert wait_for(lambda: not started(), SECONDS)


def test_a_ready_stack_survives_its_starter(launch: Launch, started: Started) -> None:
    with sleeper() as starter:
        state_dir = launch(starter=Identity.of(starter.pid))
        lifecycle.wait_ready(state_dir, SECONDS, silent)
        starter.kill()
    # Whatever the supervisor does when its starter is gone, it has done before the next record.
    os.kill(pid(state_dir, "one"), signal.SIGKILL)
    assert wait_for(lambda: [p.name for p in stack.read(state_dir).dead] == ["one"], SECONDS)
    assert len(started()) == 2
    assert lifecycle.stop(state_dir)


def test_two_stacks_do_not_know_each_other(launch: Launch, started: Started) -> None:
    first, second = launch("first"), launch("second")
    for state_dir in (first, second):
        lifecycle.wait_ready(state_dir, SECONDS, silent)
    assert lifecycle.stop(first)
    assert stack.read(second).ready
    assert len(started()) == 3
    assert lifecycle.stop(second)


def test_only_one_stack_in_a_folder(launch: Launch) -> None:
    state_dir = launch()
    with lifecycle.locked(state_dir) as lock:
        assert lock is None
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    lifecycle.stop(state_dir)
    with lifecycle.locked(state_dir) as lock:
        assert lock is not None


def test_a_new_stack_starts_afresh_where_one_was_lost(launch: Launch) -> None:
    state_dir = launch()
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    os.kill(pid(state_dir, "supervisor"), signal.SIGKILL)
    assert wait_for(lambda: not stack.read(state_dir).supervisor.identity.alive, SECONDS)
    assert launch(starter=Identity.of(os.getpid()), tied=True) == state_dir
    running = lifecycle.wait_ready(state_dir, SECONDS, silent)
    assert len(running.processes) == 3
    lifecycle.stop(state_dir)


def test_a_stack_whose_state_is_lost_ends(launch: Launch, started: Started) -> None:
    state_dir = launch()
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    shutil.rmtree(state_dir)
    assert wait_for(lambda: not started(), SECONDS)


def test_a_stack_whose_state_is_damaged_can_be_stopped(launch: Launch, started: Started) -> None:
    state_dir = launch()
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    (state_dir / "state.json").write_text("{")
    lifecycle.stop(state_dir)
    assert not started()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"processes": []}'])
def test_a_damaged_state_is_no_stack_and_is_cleaned_up(tmp_path: Path, content: str) -> None:
    with lifecycle.locked(tmp_path):
        lifecycle.prepare(tmp_path)
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(NotFoundError, match="damaged"):
        stack.read(tmp_path)
    assert not lifecycle.stop(tmp_path)
    assert not (tmp_path / "state.json").exists()


def test_a_state_that_cannot_be_written_ends_nothing_and_is_written_later(
    launch: Launch, started: Started
) -> None:
    state_dir = launch()
    lifecycle.wait_ready(state_dir, SECONDS, silent)
    # As on a full disk: there is room for its words, and for no state.
    supervisor = pid(state_dir, "supervisor")
    least = (state_dir / stack.STATE_FILE).stat().st_size // 2
    _, most = resource.prlimit(supervisor, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (least, most))
    os.kill(pid(state_dir, "two"), signal.SIGKILL)
    log = state_dir / "logs" / "supervisor.log"
    assert wait_for(lambda: "state.json cannot be written" in log.read_text(), SECONDS)
    # Who looks sees what has ended all the same, though not how.
    assert [(p.name, p.ending) for p in stack.read(state_dir).dead] == [("two", "ended")]
    assert len(started()) == 2
    assert not list(state_dir.glob(".*"))  # half of it takes room that others may need
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (most, most))
    assert wait_for(lambda: "SIGKILL" in stack.read(state_dir).dead[0].ending, SECONDS)
    assert log.read_text().count("cannot be written") == 1
    assert lifecycle.stop(state_dir)
