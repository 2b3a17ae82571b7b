"""The demo where something is in its way: nobody else's stack is touched, the cause is told."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from abctl import demo
from abctl.cli.main import run
from abctl.errors import ClusterError, UnreachableError, UsageError
from abctl.local import lifecycle
from abctl.session import local_stack
from abctl.simulate import Summary
from abctl.spec import load


class Told:
    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []

    def say(self, message: str) -> None:
        pass

    def requests(self, done: int, total: int) -> None:
        self.done.append((done, total))


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the stacks that were stopped; a model server is there, but not started."""
    found: list[Path] = []
    monkeypatch.setattr("abctl.local.mlserver.require_installed", lambda: None)
    monkeypatch.setattr(local_stack, "down", found.append)
    return found


def play(state_dir: Path, report: Told | None = None) -> demo.Outcome:
    return demo.demo(
        load(demo.write_experiment(state_dir.with_name("other"), "v2")),
        demo.SCHEDULE,
        state_dir=state_dir,
        models_dir=None,
        report=report or Told(),
        clock=lambda: 0.0,
        sleep=lambda _: None,
    )


def test_a_stack_that_runs_is_neither_joined_nor_stopped(
    tmp_path: Path, stopped: list[Path]
) -> None:
    state_dir = tmp_path / "demo"
    with lifecycle.locked(state_dir):
        with pytest.raises(ClusterError, match="a stack runs in") as error:
            play(state_dir)
        assert f"abctl local down --state {state_dir}" in error.value.hint
        assert stopped == []
        # Its file may be that of the stack.
        with pytest.raises(ClusterError, match="a stack runs in"):
            demo.write_experiment(state_dir, "v3")
    assert not (tmp_path / "demo.yaml").exists()
    assert demo.write_experiment(state_dir, "v3") == tmp_path / "demo.yaml"


@pytest.mark.parametrize("state", ["..", ".", "/", "a/..", "mine", "file"])
def test_nothing_is_written_for_a_folder_that_is_refused(
    state: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    (here / "mine" / "thesis").touch()
    (here / "file").touch()
    monkeypatch.chdir(here)
    before = sorted(tmp_path.rglob("*"))
    assert run(["demo", "--state", state]) == 2
    assert f"error: --state {state}: " in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_file_has_the_whole_name_of_the_folder(tmp_path: Path) -> None:
    assert demo.write_experiment(tmp_path / "a.b", "v2").name == "a.b.yaml"
    (tmp_path / "c.yaml").touch()
    with pytest.raises(UsageError, match="would be overwritten"):
        demo.write_experiment(tmp_path / "c", "v2")


@pytest.fixture
def flowing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: list[Path]) -> list[Path]:
    """A stack is up, as far as the demo sees it."""
    up: Any = SimpleNamespace(state_dir=tmp_path / "demo", entrance_url="http://here", dead=())
    monkeypatch.setattr(local_stack, "up", lambda *_, **__: up)
    monkeypatch.setattr(local_stack, "status", lambda _: up)
    monkeypatch.setattr(demo, "_shift", lambda *_: "shifted")

    def analyze(*_: object, **__: object) -> None:
        raise AssertionError("nothing to look at")

    monkeypatch.setattr(demo, "judged", analyze)
    return stopped


def unreachable() -> Summary:
    raise UnreachableError("no answer from http://here", "is it there?")


def too_few() -> Summary:
    return Summary((), 1.0, 0, 0, {}, (), (), interrupted=False)


@pytest.mark.parametrize(
    ("send", "words"),
    [
        (unreachable, "no answer from http://here"),
        (too_few, "in the middle of the demo: no more requests after 0"),
    ],
)
def test_traffic_that_ends_is_the_error_and_not_what_is_then_missing(
    send: Callable[[], Summary],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flowing: list[Path],
) -> None:
    monkeypatch.setattr(demo, "simulate", lambda *_, **__: send())
    with pytest.raises(ClusterError, match=words):
        play(tmp_path / "demo")
    assert flowing == [tmp_path / "demo"]


def test_no_more_requests_are_told_than_are_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flowing: list[Path]
) -> None:
    def simulate(*_: object, report: Callable[[int, int], None], stop: threading.Event) -> Summary:
        for done in (0, 6_000, 8_700):
            report(done, 17_760)
        return too_few()

    told = Told()
    monkeypatch.setattr(demo, "simulate", simulate)
    with pytest.raises(ClusterError):
        play(tmp_path / "demo", told)
    assert told.done == [(0, 7_200), (6_000, 7_200), (7_200, 7_200)]
    assert flowing


def test_the_traffic_outlasts_the_last_look() -> None:
    traffic = demo.SCHEDULE.traffic
    assert traffic.duration_seconds > demo.SCHEDULE.looks[-1] + 30
    assert traffic.planned > demo.SCHEDULE.rate_per_second * demo.SCHEDULE.looks[-1] * 1.5
