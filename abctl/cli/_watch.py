"""Look again and again: in place on a terminal, elsewhere an answer whenever it is another one."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from abctl.cli._output import PEOPLE, Output, put, say, screen
from abctl.core.time import format_duration, format_moment
from abctl.errors import AbctlError, Interrupted, SourceAwayError, UnreachableError

if TYPE_CHECKING:
    from rich.console import Console, Group

T = TypeVar("T")


@dataclass(frozen=True)
class Watch(Generic[T]):
    """What is looked at again and again.

    Attributes:
        look: what is to be seen now.
        answer: prints it.
        table: what is to be seen of it on a terminal, where what comes last may not fit.
        same: whether two of them are no news.
        every_seconds: how long to wait between two looks.
        over: whether there is nothing to wait for any more.
        passing: what may be the matter with a look for a while; not with the first one.
    """

    look: Callable[[], T]
    answer: Callable[[T], None]
    table: Callable[[T], Any]
    same: Callable[[T, T], bool]
    every_seconds: float = 2.0
    over: Callable[[T], bool] = lambda _: False
    passing: tuple[type[AbctlError], ...] = (UnreachableError, SourceAwayError)

    def follow(self, output: Output) -> T:
        """Go on until it is over, or Ctrl-C; gives what was last seen.

        Raises:
            AbctlError: of a look, unless that passes.
            typer.Exit: Ctrl-C.
        """
        try:
            if sys.stdout.isatty() and output in PEOPLE:
                return self._in_place()
            return self._one_after_another(gap=output in PEOPLE)
        except KeyboardInterrupt:
            raise typer.Exit(Interrupted.exit_code) from None

    def _looks(self) -> Iterator[tuple[T, str]]:
        """What is to be seen, and why it is old."""
        found, trouble = self.look(), ""
        while True:
            yield found, trouble
            if self.over(found):
                return
            time.sleep(self.every_seconds)
            try:
                found, trouble = self.look(), ""
            except self.passing as error:
                trouble = error.message

    def _one_after_another(self, *, gap: bool) -> T:
        looks = self._looks()
        last, told = next(looks)
        self.answer(last)
        for found, trouble in looks:
            if trouble and not told:
                say(f"{trouble}; looking again every {format_duration(self.every_seconds)}")
            told = trouble
            if found is not last and not self.same(last, found):
                if gap:
                    put("")
                self.answer(found)
                last = found
        return last

    def _in_place(self) -> T:
        from rich.live import Live  # noqa: PLC0415 - rich is slow to import

        looks, console = self._looks(), screen()
        first = next(looks)
        found, _ = first
        refreshed = ""
        try:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                for found, trouble in chain([first], looks):
                    if not trouble:
                        refreshed = format_moment(time.time(), "seconds")
                    said = f"STALE, last refresh {refreshed}: {trouble}" if trouble else refreshed
                    live.update(_fitting(console, said, self.table(found)), refresh=True)
        finally:
            self.answer(found)  # what was last seen stays to be read
        return found


def _fitting(console: "Console", said: str, shown: Any) -> "Group":
    """As much as the terminal has room for, below a line of what it is."""
    from rich.console import Group  # noqa: PLC0415
    from rich.segment import SegmentLines  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    lines = console.render_lines(shown, pad=False)
    room = max(1, console.height - 2)
    if len(lines) > room:
        said = f"{said} (of {len(lines)} lines the first {room}: the terminal has no more)"
    return Group(Text(said, "dim"), "", SegmentLines(lines[:room], new_lines=True))
