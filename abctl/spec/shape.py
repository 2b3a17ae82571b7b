"""Reads the content of a YAML file into its parts, or reports everything that has the wrong shape.

`read` gives the parts. Each problem has its place, its value and a hint; `as_error` makes one error
of them, which other checks of a file use as well.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from abctl.errors import SpecError
from abctl.spec.fields import Form, Part, UnfitError, form_of

Place = tuple[str | int, ...]
P = TypeVar("P", bound=Part)
_WHOLE = "see a complete one: abctl init"
_About = tuple[type[Part], str] | None  # the nearest key: its part, and the name of its value


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `place` leads to it from the root of the file.

    >>> problem = Problem(("spec", "variants", 1, "split"), "is missing", "split: 10%")
    >>> as_error([problem], "iris.yaml").message
    'variants[1].split in iris.yaml: is missing'
    """

    place: Place
    message: str
    hint: str


def as_error(problems: Sequence[Problem], file: str) -> SpecError:
    """One error for all problems; the hint is that of the first."""
    hint = problems[0].hint
    if len(problems) == 1:
        return SpecError(f"{_path(problems[0].place)} in {file}: {problems[0].message}", hint)
    lines = [f"  {_path(problem.place)}: {problem.message}" for problem in problems]
    return SpecError("\n".join([f"{len(problems)} problems in {file}:", *lines]), hint)


def _path(place: Place) -> str:
    """`variants[1].split`: what is in `spec` is called without it."""
    steps = place[1:] if place[:1] == ("spec",) and len(place) > 1 else place
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known names, or all of them.

    >>> did_you_mean("mdee", ["mde", "margin"]), did_you_mean("x", ["mde", "margin"])
    ('did you mean mde?', 'known: mde, margin')
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def read(part: type[P], given: object, file: str) -> P:
    """The part that a mapping stands for; every scalar in it is the text that was written.

    Args:
        part: what it should be.
        given: what the file holds.
        file: how errors call it.

    Raises:
        SpecError: everything that is wrong, each with its place, its value and a hint.
    """
    reader = _Reader()
    found: P = reader.part(part, given, (), None)
    if reader.problems:
        raise as_error(reader.problems, file)
    return found


class _Reader:
    """Gives values; for a wrong one it gives None and notes the problem."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def part(self, part: type[Part], given: object, place: Place, about: _About) -> Any:
        if not isinstance(given, dict):
            return self._wrong(given, "a mapping", place, about)
        known = [key.written for key in part.keys().values()]
        # First, for what is missing may only be misspelt.
        for other in (key for key in given if key not in known):
            hint = did_you_mean(other, known)
            self.problems.append(Problem((*place, other), "unknown key", hint))
        values: dict[str, Any] = {}
        for name, key in part.keys().items():
            here = (*place, key.written)
            if key.written not in given:
                if key.default is ...:
                    self.problems.append(Problem(here, "is missing", _meaning((part, name))))
            elif (value := given[key.written]) is not None or not key.optional:
                values[name] = self._value(key.holds, value, here, (part, name))
        return part(**values)

    def _value(self, holds: Any, given: Any, place: Place, about: _About) -> Any:
        if form := form_of(holds):
            return self._scalar(form, given, place, about)
        kind, inner = get_origin(holds), get_args(holds)
        if kind is tuple:
            return self._items(inner[0], given, place, about)
        if kind is Mapping:
            return self._pairs(inner, given, place, about)
        if kind is Literal and given not in inner:
            return self._wrong(given, _any_of(inner), place, about)
        return given if kind is Literal else self.part(holds, given, place, about)

    def _scalar(self, form: Form, given: Any, place: Place, about: _About) -> Any:
        if not isinstance(given, str):
            return self._wrong(given, form.what, place, about)
        try:
            return form.parse(given)
        except SpecError as error:
            return self.problems.append(Problem(place, error.message, error.hint))
        except UnfitError as error:
            return self.problems.append(Problem(place, str(error), _meaning(about)))

    def _items(self, holds: Any, given: Any, place: Place, about: _About) -> Any:
        if not isinstance(given, list):
            return self._wrong(given, "a list", place, about)
        return tuple(self._value(holds, item, (*place, i), about) for i, item in enumerate(given))

    def _pairs(self, holds: Any, given: Any, place: Place, about: _About) -> Any:
        if not isinstance(given, dict):
            return self._wrong(given, "a mapping", place, about)
        found = {}
        for key, item in given.items():
            here = (*place, key)
            name = self._value(holds[0], key, here, about)
            found[name] = self._value(holds[1], item, here, about)
        return found

    def _wrong(self, given: object, wanted: str, place: Place, about: _About) -> None:
        message = "is empty" if given is None else f"{_shown(given)}, must be {wanted}"
        self.problems.append(Problem(place, message, _meaning(about)))


def _any_of(known: tuple[str, ...]) -> str:
    *others, last = known
    return f"{', '.join(others)} or {last}" if others else last


def _shown(value: object) -> str:
    """A value for a message; never all of a mapping or list, which aliases can make endless."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)


def _meaning(about: _About) -> str:
    """What a key is for, as editors show it; and what it is when it is left out."""
    if about is None:
        return _WHOLE
    part, name = about
    key = part.keys()[name]
    default = key.shown_default
    left_out = f" {default} if left out." if isinstance(default, str | int | float) else ""
    return f"{key.written}: {part.meanings()[name]}{left_out}"
