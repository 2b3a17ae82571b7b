"""Look again and again: in place on a terminal, elsewhere an answer whenever it is another one."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import typer

from abctl.cli._output import Output, say, screen
from abctl.core.moment import format_moment
from abctl.errors import Interrupted, UnreachableError

T = TypeVar("T")
_INTERVAL_SECONDS = 2.0


def follow(
    look: Callable[[], T],
    answer: Callable[[T], None],
    table: Callable[[T], Any],
    output: Output,
    same: Callable[[T, T], bool],
) -> None:
    """Go on until Ctrl-C, also while nobody answers; only the first look must succeed.

    Args:
        look: what is to be seen now.
        answer: prints it.
        table: what `answer` prints on a terminal.
        output: the form that was asked for.
        same: whether two of them are no news.

    Raises:
        AbctlError: of a look, unless the world cannot be reached for a while.
        typer.Exit: Ctrl-C.
    """
    looks = _looks(look)
    try:
        if sys.stdout.isatty() and output in (Output.table, Output.wide):
            _in_place(looks, answer, table)
        else:
            _one_after_another(looks, answer, same)
    except KeyboardInterrupt:
        raise typer.Exit(Interrupted.exit_code) from None


def _looks(look: Callable[[], T]) -> Iterator[tuple[T, str]]:
    """What is to be seen, and why it is old."""
    found, trouble = look(), ""
    while True:
        yield found, trouble
        time.sleep(_INTERVAL_SECONDS)
        try:
            found, trouble = look(), ""
        except UnreachableError as error:
            trouble = error.message


def _one_after_another(
    looks: Iterator[tuple[T, str]], answer: Callable[[T], None], same: Callable[[T, T], bool]
) -> None:
    last: T | None = None
    told = ""
    for found, trouble in looks:
        if trouble and not told:
            say(f"{trouble}; looking again")
        told = trouble
        if last is None or not same(last, found):
            answer(found)
            last = found


def _in_place(
    looks: Iterator[tuple[T, str]], answer: Callable[[T], None], table: Callable[[T], Any]
) -> None:
    from rich.console import Group  # noqa: PLC0415 - rich is slow to import
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    found, trouble = next(looks)
    try:
        with Live(console=screen(), screen=True, auto_refresh=False) as live:
            while True:
                said = f"NOT SEEN SINCE: {trouble}" if trouble else format_moment(time.time())
                live.update(Group(table(found), "", Text(said, "dim")), refresh=True)
                found, trouble = next(looks)
    finally:
        answer(found)  # what was last seen stays to be read
