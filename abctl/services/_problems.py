"""Problems of an experiment file, each with its place, its value and a hint; and as one error."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from abctl.errors import SpecError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `place` leads to it from the root of the file."""

    place: Place
    message: str
    hint: str = ""


def as_error(problems: Sequence[Problem], file: str) -> SpecError:
    """One error for all problems; the hint is that of the first that has one."""
    hint = next((problem.hint for problem in problems if problem.hint), "")
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


def of_shape(root: type[BaseModel], error: ValidationError) -> list[Problem]:
    """The problems that pydantic found, in the words of the house."""
    return [_shape(root, detail) for detail in error.errors()]


def _shape(root: type[BaseModel], detail: Any) -> Problem:
    place, value, context = detail["loc"], detail["input"], detail.get("ctx", {})
    hint = ""
    match detail["type"]:
        case "spec":
            message, hint = context["message"], context["hint"]
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            message, hint = "unknown key", did_you_mean(str(place[-1]), _keys(root, place))
        case _ if value is None:
            message = "is empty"
        case "literal_error":
            message = f"{value!r}, must be {context['expected'].replace(chr(39), '')}"
        case kind:
            must = _MUST.get(kind) or detail["msg"].removeprefix("Input should be ")
            message = f"{_shown(value)}, must be {must}"
    if not hint and detail["type"] != "missing":
        hint = _meaning(root, place)
    return Problem(place, message, hint)


def _shown(value: object) -> str:
    """A value for a message; never all of a mapping or list, which aliases can make endless."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)


# What pydantic calls otherwise, by its type of error.
_MUST = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text",
    "string_too_short": "text",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
}


def _keys(root: type[BaseModel], place: Place) -> list[str]:
    """The keys that are known where an unknown one was found."""
    *_, part = _way(root, place[:-1])
    return [field.alias or name for name, field in part[1].model_fields.items()]


def _meaning(root: type[BaseModel], place: Place) -> str:
    """What the key is for, as editors show it; and what it is when it is left out."""
    *_, (field, _) = _way(root, place)
    if field is None or not field.description:
        return ""
    default = (field.json_schema_extra or {}).get("default", field.default)  # type: ignore[union-attr]
    told = isinstance(default, str | int | float)
    key = next(str(step) for step in reversed(place) if isinstance(step, str))
    return f"{key}: {field.description}{f' {default} if left out.' if told else ''}"


def _way(root: type[BaseModel], place: Place) -> Iterator[tuple[FieldInfo | None, type[BaseModel]]]:
    """The keys on the way to a place, each with the mapping that it leads to or stays in."""
    field, part = None, root
    yield field, part
    for step in place:
        if isinstance(step, str):
            known = (f for name, f in part.model_fields.items() if step in (f.alias, name))
            field = next(known, None)
            part = part if field is None else next(_parts(field.annotation), part)
            yield field, part


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)
