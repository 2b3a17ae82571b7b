"""Bars of what goes on, below whatever else is said on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from abctl.cli._output import screen

if TYPE_CHECKING:
    from rich.progress import Progress

# Fewer are answered before anybody has seen a bar.
_MANY = 50


@contextmanager
def questions_bar() -> Iterator[Callable[[int, int], None]]:
    """Shows how many questions a source has answered; on a terminal, and for long ones only."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with requests_bar("evidence") as bar:
        task = bar.add_task("evidence", visible=False)
        yield lambda done, total: bar.update(
            task, completed=done, total=total, visible=total > _MANY
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
