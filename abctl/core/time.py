"""Times as people and machines write them: moments (RFC 3339, UTC), durations (`90s`, `2h`, `7d`).

A bare number is never a duration.
"""

import re
from datetime import UTC, datetime
from typing import Literal

from abctl.errors import SpecError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_SECONDS = 36_525 * 86_400.0
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([smhd])\s*$", re.ASCII)


def format_moment(
    unix_seconds: float, timespec: Literal["milliseconds", "seconds"] = "milliseconds"
) -> str:
    """`2026-11-22T10:01:11.250Z`; digits beyond `timespec` are cut off.

    >>> format_moment(1_764_000_000.25), format_moment(1_764_000_000.25, "seconds")
    ('2025-11-24T16:00:00.250Z', '2025-11-24T16:00:00Z')
    """
    text = datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec=timespec)
    return text.replace("+00:00", "Z")


def parse_moment(text: str) -> float:
    """The unix seconds of a moment as `format_moment` writes it.

    >>> parse_moment("2025-11-24T16:00:00.250Z")
    1764000000.25

    Raises:
        ValueError: the text is not a moment.
    """
    return datetime.fromisoformat(text).timestamp()


def parse_duration_seconds(text: str) -> float:
    """`90s`, `1m`, `2h` or `7d` in seconds.

    >>> parse_duration_seconds("7d"), format_duration(90.0)
    (604800.0, '90s')

    Raises:
        SpecError: a bare number, a negative one, another unit, or more than a clock can count.
    """
    match = _DURATION.match(str(text))
    if match is None:
        raise SpecError(f"{text!r} is not a duration", "write 90s, 1m, 2h or 7d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST_SECONDS:
        raise SpecError(f"{text!r} is longer than a hundred years", "write 90s, 1m, 2h or 7d")
    return seconds


def format_duration(seconds: float) -> str:
    """The text that `parse_duration_seconds` reads back, in the largest unit that fits."""
    unit = next((u for u in "dhm" if seconds and seconds % _SECONDS[u] == 0), "s")
    return f"{seconds / _SECONDS[unit]:.15g}{unit}"
