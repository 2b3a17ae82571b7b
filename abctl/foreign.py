"""What others wrote, made fit to be shown: names, messages, pages (pure).

A terminal obeys control characters: who writes them into a file, an object or an answer could move
the cursor, hide text, or type for the user.
"""

import re

# Controls (but for the end of a line and the tab), marks that turn the direction of writing, ends
# of lines that only some know, and bytes that are no text.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SAID_LENGTH = 300
_LINE, _HEAD, _TAIL = 1_000, 700, 200
_PAGE = re.compile(r"\s*<(!doctype|html|head|body|title|h1)\b", re.IGNORECASE)
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)


def shown(text: str) -> str:
    r"""The text with what a terminal would obey as it is written in Python: `\x1b`."""
    return _UNSEEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one byte


def in_one_line(text: str) -> str:
    r"""As `shown`; an end of a line is written as `\n`, so that it begins none on the screen."""
    return shown(text).replace("\n", "\\n").replace("\t", " ")


def in_lines(text: str) -> str:
    """As `shown`; every line after the first is indented, so that none passes for ours, and short.

    What is left out of a long line is in its middle: its end may say what was wrong.
    """
    first, *rest = shown(text).split("\n")
    return "\n".join([_short(first), *(_short(f"  {line.removeprefix('  ')}") for line in rest)])


def _short(line: str) -> str:
    return line if len(line) <= _LINE else f"{line[:_HEAD]} ... {line[-_TAIL:]}"


def is_web_page(text: str) -> bool:
    """Whether it is for a browser, where something else was asked for."""
    return bool(_PAGE.match(text))


def said(text: str) -> str:
    """An answer in one line, to be quoted; of a web page only what it is about."""
    if is_web_page(text):
        from html import unescape  # noqa: PLC0415 - it has all that can be

        title = _TITLE.search(text)
        words = f"a web page ({unescape(title[2])})" if title else "a web page"
    else:
        words = text
    return " ".join(words.split())[:_SAID_LENGTH]
