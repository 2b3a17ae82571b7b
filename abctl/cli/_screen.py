"""Prints whatever rich can print; imported where there is something of that kind, as it is slow."""

import os
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from abctl.foreign import shown


class Screen(Console):
    """A console on which brackets are brackets, and others' control characters are shown."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(
            stderr=stderr, highlight=False, markup=False, emoji=False, _environ=_measurable()
        )

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """As the parent does; what is its own (the cursor, a style) is apart from text."""
        for each in super().render(renderable, options):
            yield each if each.control else each._replace(text=shown(each.text))

    def render_str(self, text: str, **options: object) -> Text:
        """As the parent does."""
        return super().render_str(shown(text), **options)  # type: ignore[arg-type]


def _measurable() -> dict[str, str]:
    """The environment without sizes of a screen that are none; 0 is said where none is known."""
    sizes = {name: os.environ.get(name, "") for name in ("COLUMNS", "LINES")}
    none = [name for name, size in sizes.items() if not (size.isdecimal() and int(size[:9]))]
    return {name: value for name, value in os.environ.items() if name not in none}
