"""How a file is declared: its parts, and how the single values in them are written.

A part is a class whose annotated keys are followed by their meaning. A value has a `Form`, for the
reader and for editors.

Every command that takes a file declares and reads them, which takes next to no time; importing a
library that validates would take longer than all the rest of such a command.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from abctl.core.delta import parse_delta
from abctl.core.number import parse_number, parse_whole
from abctl.core.split import format_share, parse_share_bp
from abctl.core.time import format_duration, parse_duration_seconds
from abctl.foreign import shown
from abctl.meanings import meanings
from abctl.stats.delta import Delta


class UnfitError(ValueError):
    """A text that is not what its key must hold; what the key is for is the hint."""


class Part:
    """A mapping of the file.

    >>> class Limits(Part):
    ...     max_duration: Duration = 86_400.0
    >>> Limits().max_duration, Limits(max_duration=60.0).given()
    (86400.0, {'max_duration': 60.0})

    A key holds another part, `tuple[X, ...]`, `Mapping[K, V]`, a `Literal`, or a scalar that is
    `Annotated` with its `Form`; with `| None` it may be empty. The class has the defaults.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    @classmethod
    @cache
    def keys(cls) -> dict[str, "Key"]:
        """The keys, by the names of their values, in order."""
        annotations = cls.__annotations__.items()
        return {name: _key(name, holds, getattr(cls, name, ...)) for name, holds in annotations}

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """What each key is for, by the name of its value: the texts below the keys."""
        return meanings(cls)

    def values(self) -> dict[str, Any]:
        """What each key holds, given or left out."""
        return {name: getattr(self, name) for name in self.keys()}

    def given(self) -> dict[str, Any]:
        """What is not as if it were left out."""
        plain = {name: key.default for name, key in self.keys().items()}
        return {name: value for name, value in self.values().items() if value != plain[name]}


@dataclass(frozen=True, eq=False)  # so that it can be part of an annotation
class Form:
    """How a scalar is written.

    >>> between(0, 1).parse("0.05"), between(0, 1).schema["type"]
    (0.05, 'number')

    Attributes:
        parse: gives the value of its text. Raises SpecError or UnfitError.
        schema: its JSON Schema, for editors.
        what: what it must be, in words.
        show: gives the text of a value.
    """

    parse: Callable[[str], Any]
    schema: Mapping[str, Any]
    what: str = "text"
    show: Callable[[Any], Any] = lambda value: value


class Key(NamedTuple):
    """A key of a part.

    >>> class Limits(Part):
    ...     max_duration: Duration = 86_400.0
    >>> key = Limits.keys()["max_duration"]
    >>> key.written, key.shown_default
    ('maxDuration', '1d')

    Attributes:
        written: what it is called in the file, in camelCase.
        holds: its annotation, without None.
        form: of a scalar.
        default: its value where it is left out; `...` where it must not be.
        optional: whether it may be empty.
        told: more JSON Schema, for editors.
    """

    written: str
    holds: Any
    form: Form | None
    default: Any
    optional: bool
    told: Mapping[str, Any]

    @property
    def shown_default(self) -> Any:
        """What could be written instead of leaving it out; None for nothing."""
        if self.default is ... or self.default is None or isinstance(self.default, Part | Mapping):
            return None
        return self.form.show(self.default) if self.form else self.default


def _key(name: str, holds: Any, default: Any) -> Key:
    first, *words = name.rstrip("_").split("_")
    written = first + "".join(word.capitalize() for word in words)
    if optional := get_origin(holds) in (Union, UnionType):
        holds = next(each for each in get_args(holds) if each is not type(None))
    told: Mapping[str, Any] = {}
    if (form := form_of(holds)) is None and get_origin(holds) is Annotated:
        holds, told = get_args(holds)
    return Key(written, holds, form, default, optional, told)


def form_of(holds: Any) -> Form | None:
    """The form of a scalar; None where the key does not hold a scalar."""
    marks = getattr(holds, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Form)), None)


T = TypeVar("T")


def text(*examples: str) -> Form:
    """Any text that is not empty, in one line, without what a terminal or a server would obey."""

    def parse(written: str) -> str:
        if not (stripped := written.strip()):
            raise UnfitError(f"{written!r}, must be text")
        if shown(stripped) != stripped or "\n" in stripped:
            raise UnfitError(f"{written!r}, must be text without control characters")
        return stripped

    return Form(parse, {**_examples(examples), "minLength": 1, "type": "string"})


def whole(least: int, most: int) -> Form:
    """A whole number, bounds included."""

    def parse(written: str) -> int:
        number = _number(parse_whole, written, "a whole number")
        if number < least:
            raise UnfitError(f"{written!r}, must be greater than or equal to {least}")
        if number > most:
            raise UnfitError(f"{written!r}, must be less than or equal to {most}")
        return number

    told = {"maximum": most, "minimum": least, "type": "integer"}
    return Form(parse, told, "a whole number")


def between(low: float, high: float) -> Form:
    """A number, bounds excluded."""

    def parse(written: str) -> float:
        number = _number(parse_number, written, "a number")
        if not number > low:  # nor is what is not a number
            raise UnfitError(f"{written!r}, must be greater than {low}")
        if number >= high:
            raise UnfitError(f"{written!r}, must be less than {high}")
        return number

    told = {"exclusiveMaximum": high, "exclusiveMinimum": low, "type": "number"}
    return Form(parse, told, "a number")


def _number(convert: Callable[[str], T], written: str, what: str) -> T:
    try:
        return convert(written)
    except ValueError:
        raise UnfitError(f"{written!r}, must be {what}{_of_percent(written)}") from None


def _of_percent(written: str) -> str:
    """The number that was meant by percent."""
    number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", written, re.ASCII)
    return f": {float(number[1]) / 100:.12g}" if number else ""


def _flag(written: str) -> bool:
    if written not in ("true", "false"):
        raise UnfitError(f"{written!r}, must be true or false")
    return written == "true"


def _written(
    parse: Callable[[str], Any],
    pattern: str,
    *examples: str,
    show: Callable[[Any], Any] = str,
    **schema: Any,
) -> Form:
    told = {**_examples(examples), "pattern": pattern, "type": "string", **schema}
    return Form(parse, told, show=show)


def _matching(pattern: str, meaning: str, *examples: str, secret: bool = False) -> Form:
    """Text of one pattern; `meaning` is the pattern for people."""

    def parse(written: str) -> str:
        if not re.fullmatch(pattern, written):
            raise UnfitError(f"{'' if secret else f'{written!r}, '}must be {meaning}")
        return written

    return _written(parse, f"^{pattern}$", *examples)


def among(known: Iterable[str]) -> Form:
    """One of some names."""
    names = tuple(dict.fromkeys(known))
    return _matching(f"({'|'.join(names)})", f"one of {', '.join(names)}")


def _examples(given: tuple[str, ...]) -> dict[str, list[str]]:
    return {"examples": list(given)} if given else {}


def _cap(written: str) -> float:
    if "%" in written:
        message = "must be a number: counters keep no values, of which to take a share"
        raise UnfitError(f"{written!r}, {message}")
    number = _number(parse_number, written, "a number")
    if not 0 < number <= _LARGEST:
        raise UnfitError(f"{written!r}, must be above 0 and at most {_LARGEST:g}")
    return number


_LARGEST = 1e12  # of what a collector takes
_DIGITS = r"^\s*\d+(\.\d+)?\s*"
# Of all numbers only 0 needs no unit.
_ZERO: dict[str, Any] = {"type": ["string", "number"], "minimum": 0, "maximum": 0}
Share = Annotated[
    int,
    _written(
        parse_share_bp,
        r"^\s*(0|\d+(\.\d{1,2})?\s*%)\s*$",
        "70%",
        "12.5%",
        show=format_share,
        **_ZERO,
    ),
]
Size = Annotated[Delta, _written(parse_delta, _DIGITS + "(pp|%|abs)$", "2pp", "2%", "0.5abs")]
Duration = Annotated[
    float,
    _written(
        parse_duration_seconds, _DIGITS + "[smhd]$", "90s", "1m", "2h", "7d", show=format_duration
    ),
]
Cap = Annotated[
    float, Form(_cap, {"exclusiveMinimum": 0, "maximum": _LARGEST, "type": "number"}, "a number")
]
Flag = Annotated[bool, Form(_flag, {"type": "boolean"}, "true or false")]
Plain = Annotated[str, Form(str, {"type": "string"})]
Text = Annotated[str, text()]
LABEL = _matching(
    r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
    "at most 63 lower-case letters, digits and dashes, no dash at an end",
)
Label = Annotated[str, LABEL]
# Services and InferenceServices are called by it, whose names begin with a letter (RFC 1035).
EXPERIMENT_NAME = _matching(
    r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
    "at most 63 lower-case letters, digits and dashes, the first a letter, the last no dash",
)
ExperimentName = Annotated[str, EXPERIMENT_NAME]
# It is the name of a folder, and a label.
VERSION = _matching(
    r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}",
    "one name: at most 128 letters, digits and ._+-, the first no dot",
    "v2",
    "1.10.0",
)
Version = Annotated[str, VERSION]
MetaKey = Annotated[
    str,
    _matching(
        r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
        "the key of a label or annotation: [prefix/]name",
        "team",
        "example.com/team",
    ),
]
Sha256 = Annotated[str, _matching(r"[0-9a-f]{64}", "64 digits from 0 to f, as sha256sum prints it")]
Service = Annotated[
    str,
    _matching(
        r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z]([-a-z0-9]{0,61}[a-z0-9])?(:[1-9][0-9]{0,4})?",
        "the name of a Service: [namespace/]name[:port]",
        "iris-v1",
        "models/iris-v1:8080",
    ),
]
Format = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "the name of a format", "sklearn", "huggingface", "onnx"
    ),
]
Runtime = Annotated[
    str,
    _matching(
        r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?",
        "the name of a ServingRuntime or ClusterServingRuntime",
        "kserve-huggingfaceserver",
    ),
]
Salt = Annotated[str, _matching(r"[A-Za-z0-9._-]{1,63}", "at most 63 letters, digits and ._-")]
_HEADER = _matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "the name of an HTTP header", "x-user-id")
Header = Annotated[str, replace(_HEADER, parse=lambda written: _HEADER.parse(written).lower())]
Name = Annotated[
    str, _matching(r"[A-Za-z][A-Za-z0-9_.-]*", "a letter, then letters, digits and _.-")
]
# A password must not be repeated on the screen, so what was written is not shown.
Url = Annotated[
    str, _matching(r"https?://[^@\s]+", "http(s)://host:port, no user, no password", secret=True)
]
Path = Annotated[str, _matching(r"(/[^/?#\s]+)+", "a path: /prometheus", "/prometheus")]
Variable = Annotated[
    str,
    _matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable", "PROMETHEUS_TOKEN"),
]
