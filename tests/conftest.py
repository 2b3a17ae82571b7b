"""What tests of several rooms need."""

import gc
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from abctl.core.experiment import Assignment, Design, Experiment, Model, Source, Variant
from abctl.core.split import TOTAL_BP, Split

# The same examples in every run. How long one takes says more of what else the machine does than
# of the code.
settings.register_profile(
    "abctl",
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# For the same tests once more, with other versions: pytest --hypothesis-profile=few
settings.register_profile("few", settings.get_profile("abctl"), max_examples=4)
# New examples, for the tests that `-m hypothesis` chooses. How to fail again is printed.
settings.register_profile(
    "nightly",
    settings.get_profile("abctl"),
    max_examples=500,
    derandomize=False,
    print_blob=True,
)
settings.load_profile("abctl")

# In a shell's background it is ignored, and whatever the tests start and interrupt inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Of several workers one has all tests of a group: they share servers that are costly to start.
# The tests of the first group take longest, so they come first.
_GROUPS = {
    "nodes": r"e2e/test_cluster_(faults|inside|loop)\.py",
    "API server": r"contract/test_clients|e2e/test_cluster"
    r"|integration/test_(cluster|overlays|prometheus_service)",
}


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_kept_in_the_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands keep between two calls, they keep in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


pytest_plugins = ["api_server", "upstream", "gateways"]  # of tests/kubernetes
_SERVERS = {"started", "cluster", "make_api_server"}  # fixtures that start processes


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Groups come before whatever is by itself; whoever uses a server is marked."""
    for item in items:
        if not _SERVERS.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.process)
    ranks = {name: rank for rank, name in enumerate(_GROUPS)}
    items.sort(key=lambda item: ranks.get(_group(item.nodeid), len(ranks)))


def pytest_collection_finish() -> None:
    """What is there by now stays; statsmodels looks for garbage in it at every call."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker has whole groups, or whole files."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - only where it is used

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid) or super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def _no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the fast lane, a test that starts a process fails: it must be marked."""
    if "not process" in request.config.option.markexpr:

        def refused(*_: object, **__: object) -> None:
            pytest.fail("starts a process: mark it with pytest.mark.process")

        monkeypatch.setattr(subprocess.Popen, "__init__", refused)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the test and its threads would have slept; threads that others left do sleep."""
    sleep, found = time.sleep, list[float]()
    left = {*threading.enumerate()} - {threading.current_thread()}

    def paused(seconds: float) -> None:
        (sleep if threading.current_thread() in left else found.append)(seconds)

    monkeypatch.setattr("time.sleep", paused)
    return found


def _group(nodeid: str) -> str:
    file = nodeid.removeprefix("tests/")
    return next((name for name, files in _GROUPS.items() if re.match(files, file)), "")


@pytest.fixture(scope="session")
def make_experiment() -> Callable[..., Experiment]:
    """Makes an experiment of named variants; what is not given does not matter to the test."""

    def make(*names: str, shares_bp: tuple[int, ...] = (), **rules: Any) -> Experiment:
        names = names or ("control", "treatment")
        shares_bp = shares_bp or (TOTAL_BP, *(0 for _ in names[1:]))
        given: dict[str, Any] = {"unit": "user", "key": "x-user-id", "salt": "salt-1"} | rules
        return Experiment(
            name="iris",
            namespace="models",
            platform="envoy",
            assignment=Assignment(**given),
            variants=tuple(Variant(name, Model("iris", "v1")) for name in names),
            split=Split(names, shares_bp),
            metrics=(),
            source=Source("file", {}),
            design=Design(settle_seconds=10.0),
        )

    return make


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[int, str]]]:
    """Tells what the test has started and still runs: pid and command line.

    Children of children count, also after their parents are gone: all inherit a mark in their
    environment. Nothing may be left when the test ends.
    """
    mark = f"ABCTL_TEST_MARK={uuid.uuid4()}"
    monkeypatch.setenv(*mark.split("="))

    def running() -> dict[int, str]:
        return {int(p.name): command for p in _processes() if (command := _marked(p, mark))}

    yield running
    for pid in (left := running()):
        os.kill(pid, signal.SIGKILL)
    assert not left


def _processes() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _marked(process: Path, mark: str) -> str:
    try:
        marked = mark.encode() in (process / "environ").read_bytes().split(b"\0")
        return (process / "cmdline").read_text().replace("\0", " ") if marked else ""
    except OSError:  # it has ended
        return ""
