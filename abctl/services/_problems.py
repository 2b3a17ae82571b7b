"""Problems of an experiment file, each with its place, its value and a hint; and as one error."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from abctl.errors import SpecError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `place` leads to it from the root of the file."""

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
    """A hint that names the nearest of the known names, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
