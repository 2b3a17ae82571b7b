"""Reads a YAML file strictly: no duplicate keys, and every scalar is the text that was written.

YAML turns `no` into false, `1.10` into 1.1, `1:30` into 90 and `2026-11-01` into a date. Here a
scalar stays text, and the schema, which knows what is meant, makes a number of it. Only an empty
value or `null` is nothing.
"""

from collections.abc import Hashable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from abctl import files
from abctl.errors import SpecError

_MOST_BYTES = 1_000_000
_DEEPEST = 50
_WHOLE = "its first lines are apiVersion, kind and metadata: abctl init writes a complete one"
_ENDINGS = (".yaml", ".yml")
# Of one letter too many or two in the wrong order; of difflib's measure.
_NEAR = 0.75
_SHOULD_BE = "name a file of YAML that you can read; - is stdin"


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


def parse_document(text: str, place: str, whole: str = _WHOLE) -> dict[str, Any]:
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
