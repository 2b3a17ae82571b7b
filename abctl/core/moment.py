"""Moments as people and machines write them: RFC 3339, in UTC."""

from datetime import UTC, datetime
from typing import Literal


def format_moment(
    unix_seconds: float, timespec: Literal["milliseconds", "seconds"] = "milliseconds"
) -> str:
    """`2026-11-22T10:01:11.250Z`; what is finer than `timespec` is cut off."""
    text = datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec=timespec)
    return text.replace("+00:00", "Z")


def parse_moment(text: str) -> float:
    """The unix seconds of a text that `format_moment` gave.

    Raises:
        ValueError: it is no moment.
    """
    return datetime.fromisoformat(text).timestamp()
