"""Why: a code with its facts, which machines and tests read, and words for people (pure)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

from abctl.core import figures
from abctl.core._check_words import HINTS, OF_CHECKS
from abctl.core._estimate_words import OF_ESTIMATES
from abctl.core._outcome_words import OF_OUTCOMES
from abctl.core._ramp_words import OF_RAMPS
from abctl.core._table_words import OF_TABLES
from abctl.core._words import OF_ANALYSES, Words
from abctl.core.time import format_duration
from abctl.stats.estimate import Remark

# What is said of each code; in the order of the documented list.
WORDS: Words = {
    **OF_ANALYSES,
    **OF_RAMPS,
    **OF_OUTCOMES,
    **OF_TABLES,
    **OF_ESTIMATES,
    **OF_CHECKS,
}


_SHOWN: Mapping[str, Callable[[Any], str]] = {
    "and": " and ".join,
    "duration": figures.duration,
    "list": ", ".join,
    "or": " or ".join,
    "split": figures.shares,
    "unsaid": lambda _: "",
    "written": format_duration,
}


class _Template(Formatter):
    """Shows a fact as its template says: as above, or as Python formats it."""

    def format_field(self, value: Any, format_spec: str) -> str:
        show = _SHOWN.get(format_spec)
        return show(value) if show else str(format(value, format_spec))


def facts_of(code: str) -> tuple[str, ...]:
    """The names of the facts that a code has.

    Raises:
        KeyError: there is no such code.
    """
    found = WORDS[code]
    if isinstance(found, str):
        return tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(found) if name))
    return tuple(found[0].split())


@dataclass(frozen=True)
class Reason:
    """A reason of a verdict, a note of an analysis, or what a check found.

    >>> why = Reason("minDuration", {"left_seconds": 40.0, "min_duration_seconds": 100.0})
    >>> why.text
    '40 s more until minDuration of 1.67 min'
    >>> why.document()["facts"]
    {'leftSeconds': 40.0, 'minDurationSeconds': 100.0}

    Attributes:
        code: one of `WORDS`.
        facts: those of the code, all of them: plain JSON values with their units in their names
            (seconds, ratio, count), and names of metrics and variants; None where one is not known.

    Raises:
        ValueError: no such code, or it has other facts.
    """

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.code not in WORDS:
            raise ValueError(f"reason {self.code!r}, must be one of {', '.join(WORDS)}")
        if self.facts.keys() != set(known := facts_of(self.code)):
            given, wanted = (", ".join(sorted(each)) for each in (self.facts, known))
            raise ValueError(f"facts of {self.code}: {given or 'none'}, must be {wanted or 'none'}")

    @classmethod
    def of(cls, remark: Remark) -> "Reason":
        """What statistics remark, with the words for it."""
        return cls(remark.code, remark.facts)

    @property
    def remark(self) -> Remark:
        """The same for statistics, which have no words."""
        return Remark(self.code, self.facts)

    @property
    def text(self) -> str:
        """The same in words."""
        found = WORDS[self.code]
        if isinstance(found, str):
            return _Template().vformat(found, (), self.facts)
        return found[1](self.facts)

    def hint(self, about: Mapping[str, Any]) -> str:
        """What to do about what a check found.

        >>> Reason("scrapedOnce").hint({})
        'wait for the next scrape'

        Args:
            about: what the words need besides the facts, such as the experiment's word.
        """
        found, known = HINTS[self.code], {**self.facts, **about}
        return _Template().vformat(found, (), known) if isinstance(found, str) else found(known)

    def document(self) -> dict[str, Any]:
        """As plain data for JSON; names of facts in camelCase, what is infinite None."""
        return {"code": self.code, "facts": {camel(k): _plain(v) for k, v in self.facts.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def camel(name: str) -> str:
    """The name of a field as JSON has it: `left_seconds` is `leftSeconds`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
