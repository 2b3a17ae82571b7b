"""What a change of an object comes to, as a unified diff of its YAML."""

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from abctl.cli._output import screen

if TYPE_CHECKING:
    from rich.text import Text

    from abctl.core.change import Object

_COLORS = {"+": "green", "-": "red", "@": "cyan"}


def lines(before: "Object | None", after: "Object") -> Iterator[str]:
    """The lines of the diff, without what the cluster notes of its own; none where they agree."""
    from abctl.core.change import Ref  # noqa: PLC0415
    from abctl.services.apply import bare  # noqa: PLC0415
    from abctl.services.render import to_yaml  # noqa: PLC0415

    old, new = (to_yaml([bare(obj)]).splitlines() if obj else [] for obj in (before, after))
    where = f"{Ref.of(after).namespace}/{Ref.of(after)}"
    names = (where if before else "/dev/null", where)
    yield from difflib.unified_diff(old, new, *names, lineterm="")


def colored(shown: Iterable[str]) -> "Text":
    """For a terminal; elsewhere it is plain text."""
    from rich.text import Text  # noqa: PLC0415 - rich is slow to import

    return Text("\n").join(
        Text(line, "" if line.startswith(("+++", "---")) else _COLORS.get(line[:1], ""))
        for line in shown
    )


def show(before: "Object | None", after: "Object") -> None:
    """The diff on stderr, for people who are about to be asked."""
    shown = colored(lines(before, after)) or "no differences"
    screen(stderr=True).print(shown, soft_wrap=True)
