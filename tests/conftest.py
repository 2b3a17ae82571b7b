"""What tests of several rooms need."""

import gc
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from abctl.core.experiment import Assignment, Design, Experiment, Model, Source, Variant
from abctl.core.split import TOTAL_BP, Split

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("abctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("abctl")

# In a shell's background it is ignored, and whatever the tests start and interrupt inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_ON_NODES = tuple(f"tests/e2e/test_cluster_{name}.py" for name in ("faults", "inside", "loop"))

pytest_plugins = ["api_server", "upstream", "gateways"]  # of tests/kubernetes


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """The tests of the cluster with nodes, which take longest, come first."""
    items.sort(key=lambda item: not _needs_nodes(item.nodeid))


def pytest_collection_finish() -> None:
    """What is there by now stays; statsmodels looks for garbage in it at every call."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several workers one has all tests of the cluster with nodes; else each has whole files."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - only where it is used

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "nodes" if _needs_nodes(nodeid) else super()._split_scope(nodeid)

    return Scheduling(config, log)


def _needs_nodes(nodeid: str) -> bool:
    return nodeid.startswith(_ON_NODES)


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
