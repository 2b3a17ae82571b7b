"""How single values of an experiment file are written, for the reader and for editors."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from abctl.core.delta import parse_delta
from abctl.core.duration import parse_duration_seconds
from abctl.core.split import parse_share_bp
from abctl.errors import SpecError
from abctl.stats.estimate import Delta

T = TypeVar("T")


def _written(parse: Callable[[str], T], pattern: str, *examples: str, **schema: Any) -> Any:
    """How a value that is written as text is read, and what editors are told of it."""

    def read(text: object) -> T:
        if not isinstance(text, str):
            raise PydanticCustomError("string_type", "Input should be text")
        try:
            return parse(text)
        except SpecError as error:
            context = {"message": error.message, "hint": error.hint}
            raise PydanticCustomError("spec", "{message}", context) from None

    told = {"type": "string", "pattern": pattern, **schema}
    if examples:
        told["examples"] = list(examples)
    return BeforeValidator(read), WithJsonSchema(told)


def _matching(pattern: str, meaning: str, *examples: str, secret: bool = False) -> Any:
    """Text of one pattern; `meaning` is the pattern for people."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise SpecError(f"{'' if secret else f'{text!r}, '}must be {meaning}")
        return text

    return _written(parse, f"^{pattern}$", *examples)


_NUMBER = r"^\s*\d+(\.\d+)?\s*"
_PERCENT: dict[str, Any] = {"type": ["string", "number"], "minimum": 0, "maximum": 100}
Share = Annotated[
    int, *_written(parse_share_bp, r"^\s*\d+(\.\d{1,2})?\s*%?\s*$", "70%", "12.5%", **_PERCENT)
]
Size = Annotated[Delta, *_written(parse_delta, _NUMBER + "(pp|%|abs)$", "2pp", "2%", "0.5abs")]
Duration = Annotated[
    float, *_written(parse_duration_seconds, _NUMBER + "[smhd]$", "90s", "1m", "2h", "7d")
]
Label = Annotated[
    str,
    *_matching(
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "at most 63 lower-case letters, digits and dashes"
    ),
]
Service = Annotated[
    str,
    *_matching(
        r"([a-z0-9][-a-z0-9]{0,62}/)?[a-z][-a-z0-9]{0,62}(:[1-9][0-9]{0,4})?",
        "the name of a Service: [namespace/]name[:port]",
        "iris-v1",
        "models/iris-v1:8080",
    ),
]
Salt = Annotated[str, *_matching(r"[A-Za-z0-9._-]{1,63}", "at most 63 letters, digits and ._-")]
Header = Annotated[
    str,
    *_matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "the name of an HTTP header", "x-user-id"),
    AfterValidator(str.lower),
]
Name = Annotated[
    str, *_matching(r"[A-Za-z][A-Za-z0-9_.-]*", "a letter, then letters, digits and _.-")
]
# A password must not be repeated on the screen, so what was written is not shown.
Url = Annotated[
    str, *_matching(r"https?://[^@\s]+", "http(s)://host:port, no user, no password", secret=True)
]
Path = Annotated[str, *_matching(r"(/[^/?#\s]+)+", "a path: /prometheus", "/prometheus")]
Variable = Annotated[
    str,
    *_matching(
        r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable", "PROMETHEUS_TOKEN"
    ),
]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
