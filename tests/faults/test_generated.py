"""Every command x kind of argument x kind of fault, through the real entry point in one process.

Nothing is listed by hand: a new command, and a new option of an old one, enter by themselves.
"""

import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from argument_kinds import commands
from command_lines import OF_THEIR_OWN, line
from fault_kinds import FAULTS
from generated_cases import Case, cases, check
from sound_world import WebPage, make

from abctl.cli.main import main

CASES = cases()
COMMANDS = [each for each in commands() if " ".join(each.words) not in OF_THEIR_OWN]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which all of them run, and a server of web pages."""
    folder, before = tmp_path_factory.mktemp("world"), Path.cwd()
    os.chdir(folder)
    make(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def web_page() -> Iterator[str]:
    with WebPage() as server:
        yield server.url
        server.shutdown()


@pytest.fixture(autouse=True)
def _as_it_was(world: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings of this machine; nothing is half written, and nothing stays for the next case."""
    for name in [name for name in os.environ if name.startswith(("ABCTL_", "KUBE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(world / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(world / "home"))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    interrupt = signal.getsignal(signal.SIGINT)
    before = contents(world)
    yield
    signal.signal(signal.SIGINT, interrupt)
    after = contents(world)
    assert {path: after.get(path) for path in before} == before
    new = after.keys() - before.keys()
    assert not [path for path in new if path.name.startswith(".abctl-")]
    for path in sorted(new, reverse=True):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    """Everything below a folder: mode and size of each."""
    found = [path for path in folder.rglob("*") if path.parts[-1] != "home"]
    stats = {path: path.lstat() for path in found}
    return {path: (s.st_mode, 0 if path.is_dir() else s.st_size) for path, s in stats.items()}


def ending(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """How a command line ends."""
    monkeypatch.setattr(sys, "argv", ["abctl", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_there_are_enough_of_them_and_every_kind_has_faults() -> None:
    assert len(CASES) >= 300
    kinds = {slot.kind for command in commands() for slot in command.slots}
    assert kinds == FAULTS.keys()
    assert {case.command.words[0] for case in CASES} == {c.words[0] for c in commands()}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: "-".join(each.words))
def test_what_is_not_wrong_is_taken(command, monkeypatch, capsys) -> None:
    # Nobody answers, nothing runs: but no word of it is wrong.
    code = ending(line(command), monkeypatch)
    assert code in (0, 3, 5), capsys.readouterr().err


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_wrong_is_told_in_two_lines(case: Case, web_page, monkeypatch, capsys) -> None:
    began = time.monotonic()
    code = ending(case.words(web_page), monkeypatch)
    check(case, code, *capsys.readouterr())
    assert time.monotonic() - began < 20  # nobody is waited for
