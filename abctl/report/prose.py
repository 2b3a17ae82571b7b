"""Words for people, in lines no wider than the terminal, nor than 80 columns where none is.

No word is cut, nor a number from its unit.
"""

import re
import shutil
import sys
import textwrap

from abctl.foreign import shown

_USUAL = 80
_HELD = re.compile(
    r"(?<=\d) (?=(?:ms|s|min|h|d)\b)"  # 1.25 ms
    r"| (?=[=<] \S)|(?<= [=<]) (?=\S)"  # p < 0.0001
    r"|(?<=\w) (?=\d+(?:\.\d+)?%(?:,|$))"  # control 70%
)
_COMMA = re.compile(r'(?<="),(?=[a-zA-Z_])')
_HOLD = "\0"


def width() -> int:
    """The columns of the terminal, but no fewer than 80; what is narrower wraps by itself."""
    return max(_USUAL, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _USUAL


def prose(text: str, indent: int = 0, hanging: int | None = None, room: int | None = None) -> str:
    """Words in lines that fit.

    Args:
        text: one paragraph.
        indent: of its first line.
        hanging: of the others; two more, unless it is given.
        room: how wide a line may be; by default all that there is.
    """
    first, others = " " * indent, " " * (indent + 2 if hanging is None else hanging)
    room, text = width() if room is None else room, shown(text)
    # A selector may have spaces after its commas: a long one goes on in the next line.
    words = (w if len(w) < room - indent else _COMMA.sub(", ", w) for w in text.split(" "))
    lines = textwrap.wrap(
        _HELD.sub(_HOLD, " ".join(words)),
        room,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_HOLD, " ")
