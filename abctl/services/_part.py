"""How the parts of a file are declared: classes whose annotated keys are followed by their meaning.

Every command that takes a file declares and reads them, which takes next to no time; importing a
library that validates would take longer than all the rest of such a command.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin


class UnfitError(ValueError):
    """A text that is not what its key must hold; what the key is for is the hint."""


class Part:
    """A mapping of the file.

    A key holds another part, `tuple[X, ...]`, `Mapping[K, V]`, a `Literal`, or a scalar that is
    `Annotated` with its `Form`; with `| None` it may be empty. What is left out is as in the class.
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
        [declared] = ast.parse(inspect.getsource(cls)).body
        found = {}
        for pair in pairwise(getattr(declared, "body", ())):
            match pair:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(meaning))),
                ):
                    found[name] = meaning
        return found

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

    Attributes:
        parse: gives the value of its text. Raises SpecError or UnfitError.
        schema: what editors are told of it (JSON Schema).
        what: it must be, for people.
        show: gives the text of a value.
    """

    parse: Callable[[str], Any]
    schema: Mapping[str, Any]
    what: str = "text"
    show: Callable[[Any], Any] = lambda value: value


class Key(NamedTuple):
    """A key of a part.

    Attributes:
        written: what it is called in the file, in camelCase.
        holds: its annotation, without None.
        form: of a scalar.
        default: its value where it is left out; `...` where it must not be.
        optional: whether it may be empty.
        told: what else editors are told of it.
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
    first, *words = name.split("_")
    written = first + "".join(word.capitalize() for word in words)
    if optional := get_origin(holds) in (Union, UnionType):
        holds = next(each for each in get_args(holds) if each is not type(None))
    told: Mapping[str, Any] = {}
    if (form := form_of(holds)) is None and get_origin(holds) is Annotated:
        holds, told = get_args(holds)
    return Key(written, holds, form, default, optional, told)


def form_of(holds: Any) -> Form | None:
    """The form of a scalar; None of anything else."""
    marks = getattr(holds, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Form)), None)
