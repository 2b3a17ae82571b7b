"""One thing that was examined, and what to do about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from abctl.core.reasons import Reason
from abctl.errors import AbctlError

Level = Literal["ok", "warning", "error"]
# Told in words what is being done, before it is done.
Doing = Callable[[str], None]
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was checked.
        reason: what was found, as a code with its facts.
        hint: what to do where it is not ok.
    """

    name: str
    level: Level
    reason: Reason
    hint: str = ""

    def document(self) -> dict[str, Any]:
        """As plain data for JSON."""
        said = {"name": self.name, "level": self.level, "message": self.reason.text}
        return {**said, "hint": self.hint, **self.reason.document()}


def _check(
    name: str, level: Level, code: str, facts: Mapping[str, Any], about: Mapping[str, Any]
) -> Check:
    reason = Reason(code, facts)
    return Check(name, level, reason, reason.hint(about))


def ok(name: str, code: str, **facts: Any) -> Check:
    """All is well."""
    return Check(name, "ok", Reason(code, facts))


def warning(name: str, code: str, about: Mapping[str, Any] = _NOTHING, /, **facts: Any) -> Check:
    """It works, but needs attention; the words of the hint also take what it is `about`."""
    return _check(name, "warning", code, facts, about)


def error(name: str, code: str, about: Mapping[str, Any] = _NOTHING, /, **facts: Any) -> Check:
    """An experiment could not be run, or not be judged, like this."""
    return _check(name, "error", code, facts, about)


def failed(name: str, why: AbctlError, level: Level = "error") -> Check:
    """It could not be checked, or the check itself was refused."""
    facts = {"error": type(why).__name__, "detail": why.message}
    return Check(name, level, Reason("failed", facts), why.hint)
