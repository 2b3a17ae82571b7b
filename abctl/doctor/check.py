"""One thing that was examined, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]
# Told in words what is being done, before it is done.
Doing = Callable[[str], None]


@dataclass(frozen=True)
class Check:
    """The result of one check; `hint` says what to do where it is not ok."""

    name: str
    level: Level
    message: str
    hint: str = ""


def ok(name: str, message: str) -> Check:
    """All is well."""
    return Check(name, "ok", message)


def warning(name: str, message: str, hint: str = "") -> Check:
    """It works, but needs attention."""
    return Check(name, "warning", message, hint)


def error(name: str, message: str, hint: str) -> Check:
    """An experiment could not be run, or not be judged, like this."""
    return Check(name, "error", message, hint)
