"""The bar of requests that are sent, below whatever else is said on stderr."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def requests_bar() -> "Progress":
    """A bar of what is done of how much, for a terminal; it is gone when it is over."""
    from rich import progress  # noqa: PLC0415 - rich is slow to import
    from rich.console import Console  # noqa: PLC0415

    columns = (
        progress.TextColumn("requests"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    return progress.Progress(*columns, console=Console(stderr=True), transient=True)
