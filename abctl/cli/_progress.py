"""What goes on, below whatever else is said on stderr: bars on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from abctl.cli._output import say, screen

if TYPE_CHECKING:
    from rich.progress import Progress

# What is over before is seen by nobody.
_SOON_SECONDS = 1.0
_LINE_SECONDS = 5.0


@contextmanager
def questions_bar() -> Iterator[Callable[[int, int], None]]:
    """Shows how much a source has answered; on a terminal, and where that takes long."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich import progress  # noqa: PLC0415 - rich is slow to import

    columns = (
        progress.TextColumn("evidence"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
    )
    began = time.monotonic()
    with progress.Progress(*columns, console=screen(stderr=True), transient=True) as bar:
        task = bar.add_task("evidence", visible=False)
        yield lambda done, total: bar.update(
            task,
            completed=done,
            total=total,
            visible=time.monotonic() - began > _SOON_SECONDS,
        )


def requests_bar(of: str = "requests") -> "Progress":
    """A bar of what is done of how much, for a terminal; it is gone when it is over."""
    from rich import progress  # noqa: PLC0415 - rich is slow to import

    columns = (
        progress.TextColumn(of),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    return progress.Progress(*columns, console=screen(stderr=True), transient=True)


@contextmanager
def stages() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Tells what is being done, and how much of it is.

    On a terminal it is one bar, gone when all is over; elsewhere a line for each stage, and one
    more every five seconds.
    """
    if sys.stderr.isatty():
        from rich import progress  # noqa: PLC0415 - rich is slow to import

        columns = (
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TimeElapsedColumn(),
        )
        with progress.Progress(*columns, console=screen(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield (
                lambda words: bar.update(task, description=words, completed=0, total=None),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        return
    told = time.monotonic()

    def doing(words: str) -> None:
        nonlocal told
        told = time.monotonic()
        say(f"{words} ...")

    def done(count: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _LINE_SECONDS and count < total:
            told = time.monotonic()
            say(f"... {count:,} of {total:,}")

    yield doing, done
