"""Looking again and again: in place on a terminal, and on through outages, until Ctrl-C."""

import re
import sys
import threading

import pytest
import typer

from abctl.cli import _watch
from abctl.cli._output import Output
from abctl.cli._watch import Watch
from abctl.errors import NotFoundError, UnreachableError

ENTER, LEAVE, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"
GONE = UnreachableError("no answer from the server", "-")


@pytest.fixture
def watch(monkeypatch, capsys):
    """Looks at the given things, one after another, until Ctrl-C; gives what was printed."""
    monkeypatch.setenv("TERM", "xterm")

    def watched(*things, terminal=False, output=Output.table):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        left = [*things, KeyboardInterrupt()]
        monkeypatch.setattr(_watch.time, "sleep", lambda _: None)

        def look():
            if isinstance(found := left.pop(0), BaseException):
                raise found
            return found

        with pytest.raises(typer.Exit) as ended:
            Watch(
                look,
                print,
                lambda thing: thing if "\n" in thing else f"table of {thing}",
                str.__eq__,
            ).follow(output)
        assert ended.value.exit_code == 130
        return capsys.readouterr()

    return watched


def test_elsewhere_only_what_is_new_is_printed(watch):
    printed = watch("a", "a", "b", "b", "a")
    assert printed.out.split() == ["a", "b", "a"]
    assert not printed.err


def test_an_outage_is_told_once_and_is_no_end(watch):
    printed = watch("a", GONE, GONE, "a", GONE, "b")
    assert printed.out.split() == ["a", "b"]
    assert printed.err == "no answer from the server; looking again every 2s\n" * 2


def test_on_a_terminal_it_is_shown_in_place_and_the_last_one_stays(watch):
    out = watch("a", "b", GONE, terminal=True).out
    shown, _, left = out.removeprefix(ENTER).partition(LEAVE)
    assert out.startswith(ENTER)
    assert left.split()[-1] == "b"
    frames = shown.split(HOME)
    assert [each in shown for each in ("table of a", "table of b")] == [True, True]
    # Nothing is wiped, so nothing flickers.
    assert "\x1b[2J" not in shown
    assert re.search(r"STALE, last refresh 20\S+Z: no answer from the server", frames[-1])
    assert "table of b" in frames[-1]


def test_machines_get_one_answer_after_another_on_a_terminal_too(watch):
    assert watch("a", "b", terminal=True, output=Output.json).out.split() == ["a", "b"]


def test_a_block_for_each_change_and_a_line_between_them(watch):
    assert watch("a", "a", "b").out == "a\n\nb\n"
    assert watch("a", "b", output=Output.json).out == "a\nb\n"


def test_what_has_no_room_on_the_terminal_is_told_and_the_first_of_it_is_shown(watch, monkeypatch):
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("COLUMNS", "80")
    tall = "\n".join(f"line {i}" for i in range(30))
    out = watch(tall, terminal=True).out
    shown, _, left = out.removeprefix(ENTER).partition(LEAVE)
    assert "(of 30 lines the first 8: the terminal has no more)" in shown
    assert "line 7" in shown
    assert "line 8" not in shown
    assert "line 29" in left


@pytest.mark.parametrize("terminal", [False, True])
def test_it_ends_when_it_is_over(terminal, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    waits, left = [], ["a", NotFoundError("not yet", "-"), "b", "c"]
    real = _watch.time.sleep

    def sleep(seconds: float) -> None:
        # Threads that other tests have left wait by the same function.
        mine = threading.current_thread() is threading.main_thread()
        waits.append(seconds) if mine else real(seconds)

    monkeypatch.setattr(_watch.time, "sleep", sleep)

    def look():
        if isinstance(found := left.pop(0), Exception):
            raise found
        return found

    watch = Watch(
        look,
        print,
        str,
        str.__eq__,
        every_seconds=60.0,
        over=lambda found: found == "b",
        passing=(NotFoundError,),
    )
    assert watch.follow(Output.table) == "b"
    assert (waits, left) == ([60.0, 60.0], ["c"])
    assert capsys.readouterr().out.endswith("b\n")


@pytest.mark.parametrize("things", [[GONE], ["a", NotFoundError("it is gone", "-")]])
def test_what_no_time_will_heal_ends_it(things, monkeypatch):
    monkeypatch.setattr(_watch.time, "sleep", lambda _: None)
    left = list(things)

    def look():
        if isinstance(found := left.pop(0), Exception):
            raise found
        return found

    with pytest.raises(type(things[-1])):
        Watch(look, print, str, str.__eq__).follow(Output.table)
