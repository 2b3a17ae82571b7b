"""Reads a YAML file into its parts, or reports everything that has the wrong shape.

YAML is read strictly: no duplicate keys, and every scalar is the text that was written. YAML turns
`no` into false, `1.10` into 1.1, `1:30` into 90 and `2026-11-01` into a date. Here a scalar stays
text, and the schema, which knows what is meant, makes a number of it. Only an empty value or `null`
is nothing.

`read` gives the parts. Each problem has its place, its value and a hint; `as_error` makes one error
of them, which other checks of a file use as well.
"""

import difflib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml

from abctl import files
from abctl.errors import SpecError
from abctl.spec.fields import Form, Part, UnfitError, form_of

_MOST_BYTES = 1_000_000
_DEEPEST = 50
_FIRST_LINES = "its first lines are apiVersion, kind and metadata: abctl init writes a complete one"
_ENDINGS = (".yaml", ".yml")
# Of one letter too many or two in the wrong order; of difflib's measure.
_NEAR = 0.75
_SHOULD_BE = "name a file of YAML that you can read; - is stdin"
_WHOLE = "see a complete one: abctl init"
P = TypeVar("P", bound=Part)
_About = tuple[type[Part], str] | None  # the nearest key: its part, and the name of its value
Place = tuple[str | int, ...]


class _StrictLoader(yaml.SafeLoader):
    """A safe loader without guesses; see the module."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # the parent's class attribute
        first: [rule for rule in rules if rule[0] == "tag:yaml.org,2002:null"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise RecursionError
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError):  # !!int abc
            problem = f"{str(node.value)[:60]!r} does not match its tag"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, yaml.Mark] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = "a key must be text"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"{key!r} is already in line {seen[key].line + 1}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen[key] = key_node.start_mark
        return super().construct_mapping(node, deep=deep)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        SpecError: no such file, not readable, not UTF-8, larger than any experiment.
    """
    try:
        return files.read(path, _MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file", _instead_of(path)) from None
    except IsADirectoryError:
        raise SpecError(f"{path} is a folder", f"name files: {path / '*.yaml'}") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: byte {error.start} is not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}", _SHOULD_BE) from None


def _instead_of(path: Path) -> str:
    named = path.with_name(f"{path.name}.yaml")
    if named.is_file():
        return f"did you mean {named}?"
    if similar := _similar(path):
        return f"did you mean {files.as_argument(similar)}?"
    return f"write a first one: abctl init {files.as_argument(path)}"


def _similar(path: Path) -> Path | None:
    """The file of YAML beside it whose name is nearest, if one is near."""
    try:
        beside = {each.stem: each for each in path.parent.iterdir() if each.suffix in _ENDINGS}
    except OSError:
        return None
    names = get_close_matches(path.stem, beside, n=1, cutoff=_NEAR)
    return beside[names[0]] if names else None


def parse_document(text: str, place: str, whole: str = _FIRST_LINES) -> dict[str, Any]:
    """The one mapping that the text of an experiment file, or of another, holds.

    Args:
        text: YAML.
        place: how errors call the text, e.g. the file's name.
        whole: the hint where it is something else altogether.

    Raises:
        SpecError: not YAML (with line and column), a duplicate key, empty, not one mapping.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_StrictLoader))  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        problem = error.problem or error.context
        twice = problem is not None and " is already in line " in problem
        hint = "write each key once" if twice else _remedy(text, mark)
        raise SpecError(f"{place}, {where}: {problem}", hint) from None
    except yaml.reader.ReaderError as error:
        where = f"character {error.position + 1}"
        raise SpecError(
            f"{place}, {where}: {chr(error.character)!r} cannot be in YAML",
            "remove it, or write it as an escape between double quotes",
        ) from None
    except RecursionError:
        raise SpecError(f"{place} is nested too deeply", whole) from None
    documents = [document for document in documents if document is not None]
    if not documents:
        raise SpecError(f"{place} is empty", whole)
    if len(documents) > 1:
        raise SpecError(
            f"{place} holds {len(documents)} documents, must be one",
            "a file for each experiment; --- begins another document",
        )
    if not isinstance(documents[0], dict):
        what = "a list" if isinstance(documents[0], list) else "text"
        raise SpecError(f"{place} holds {what}, must be a mapping", whole)
    return documents[0]


def _remedy(text: str, mark: yaml.Mark | None) -> str:
    """What to do about a line that is not YAML."""
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "YAML is indented with spaces, never with tabs"
    return "the mistake is there or just before it: a colon and a blank, a bracket, a quote"


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
            free = inner[1] is Any
            return (self._free if free else self._pairs)(inner, given, place, about)
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

    def _free(self, _: Any, given: Any, place: Place, about: _About) -> Any:
        """What is Kubernetes' own to say, as it was written."""
        return given if isinstance(given, dict) else self._wrong(given, "a mapping", place, about)

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
