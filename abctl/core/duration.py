"""Lengths of time as people write them: `90s`, `1m`, `2h`, `7d`; never a bare number."""

import re

from abctl.errors import SpecError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_SECONDS = 36_525 * 86_400.0
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([smhd])\s*$", re.ASCII)


def parse_duration_seconds(text: str) -> float:
    """`90s`, `1m`, `2h` or `7d` in seconds.

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
