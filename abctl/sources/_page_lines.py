"""The lines of a metrics page: text 0.0.4 and OpenMetrics, with exemplars, times and quoted names.

Lines are read by hand: prometheus_client takes ten times as long, names no line that is wrong,
renames counters that do not end in `_total`, and is not there where only abctl is. Tests compare
what both read.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from abctl.core.number import parse_number
from abctl.core.selector import unescape

_TEXT = r'"((?:[^"\\]|\\.)*)"'
# The same as any number of other letters and quoted texts; unrolled, it takes a third of the time.
_BODY = r'[^"{}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{}]*)*'
_LINE = re.compile(
    rf"((?:[a-zA-Z_:][\w:]*)?)[ \t]*(\{{{_BODY}\}})?[ \t]*(?<=[ \t}}])([^\s{{}}#\"]+)"
    # A time of its own, and an exemplar: neither is of use here.
    r"(?:[ \t]+[-+.\deE]+)?[ \t]*(?:[ \t]#[ \t]+\{.*)?",
    re.ASCII | re.DOTALL,
)
_LABEL = re.compile(
    rf"\s*(?:(?:([a-zA-Z_]\w*)|{_TEXT})\s*=\s*{_TEXT}|{_TEXT})\s*(?:,|$)", re.ASCII | re.DOTALL
)
END = "# EOF"


class Sample(NamedTuple):
    """A sample of a page: the text that names its series, and its value."""

    series: str
    value: float


class Kept(NamedTuple):
    """What is kept of a page.

    Attributes:
        samples: as lines, without times and exemplars.
        others: how many more there are.
        wrong: lines that cannot be read.
    """

    samples: list[str]
    others: int
    wrong: list[str]


def sample_of(line: str) -> Sample:
    """A line of a page; a time that it gives itself is not used.

    Raises:
        ValueError: it is none.
    """
    parts = _LINE.fullmatch(line.strip(" \t\r"))
    if parts is None or not (parts[1] or parts[2]):
        raise ValueError(line)
    return Sample(f"{parts[1]}{parts[2] or ''}", parse_number(parts[3]))


@lru_cache(65_536)
def labels_of(series: str) -> dict[str, str]:
    """The labels of a series, with its name.

    Raises:
        ValueError: it is none.
    """
    name, brace, rest = series.partition("{")
    names, labels, body, at = [name.strip()] if name.strip() else [], dict[str, str](), rest[:-1], 0
    while brace and body[at:].strip(" ,"):
        part = _LABEL.match(body, at)
        if part is None:
            raise ValueError(series)
        if part[4] is not None:
            names.append(unescape(part[4]))
        else:
            label = part[1] or unescape(part[2])
            if label in labels:
                raise ValueError(series)
            labels[label] = unescape(part[3])
        at = part.end()
    if len(names) != 1 or "__name__" in labels:
        raise ValueError(series)
    return {"__name__": names[0], **labels}


def lines_of(text: str) -> Iterator[str]:
    """The lines that are no comments. What else ends a line in Unicode is text here."""
    for line in text.split("\n"):
        bare = line.strip(" \t\r")
        if bare and bare[0] != "#":
            yield bare


def kept_of(text: str, beginnings: Sequence[str]) -> Kept:
    """The samples of metrics whose names begin so; of a series that is there twice the first."""
    wanted, kept, others, wrong = tuple(beginnings), dict[str, str](), 0, list[str]()
    for line in lines_of(text):
        if line[0] != "{" and not line.startswith(wanted):
            others += 1
            continue
        try:
            series, _ = found = sample_of(line)
            name = labels_of(series)["__name__"]
        except ValueError:
            wrong.append(line)
            continue
        if not name.startswith(wanted):
            others += 1
        elif series in kept:
            wrong.append(line)
        else:
            kept[series] = f"{series} {found.value!r}"
    return Kept(list(kept.values()), others, wrong)
