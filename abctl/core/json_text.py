"""Small changes of a JSON text that leave every other character of it as it is.

People write such files: the order of keys, spaces and line ends are theirs.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\n\r]*")
_LINE, _INDENT = 64, 2


def parse(text: str) -> Any:
    """What a text says, by the letter of RFC 8259; a key that comes twice is an error.

    >>> parse('{"a": [1, 2]}')
    {'a': [1, 2]}

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def span(text: str, path: Path) -> tuple[int, int]:
    """Where the value stands to which keys and places in lists lead.

    >>> text = '{"a": [1, 22]}'
    >>> text[slice(*span(text, ("a", 1)))]
    '22'

    Raises:
        LookupError: they lead nowhere.
    """
    start, end = _value(text, 0)
    for step in path:
        found = [(first, last) for key, first, last in _members(text, start) if key == step]
        if not found:
            raise LookupError(f"nothing at {'.'.join(map(str, path))}")
        ((start, end),) = found
    return start, end


def _value(text: str, at: int) -> tuple[int, int]:
    """Where the next value begins and ends."""
    start = _after_space(text, at)
    return start, json.JSONDecoder().raw_decode(text, start)[1]


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _members(text: str, start: int) -> Iterator[tuple[str | int, int, int]]:
    """Key or place of each member, and where its value begins and ends."""
    if text[start] not in "{[":
        return
    named, place, at = text[start] == "{", 0, _after_space(text, start + 1)
    while text[at] not in "}]":
        key: str | int = place
        if named:
            key, at = json.JSONDecoder().raw_decode(text, at)
            at = _after_space(text, at) + 1  # the colon
        first, last = _value(text, at)
        yield key, first, last
        place, at = place + 1, _after_space(text, last)
        if text[at] == ",":
            at = _after_space(text, at + 1)


def replaced(text: str, values: Mapping[Path, Any]) -> str:
    """A copy with other values at these places; one past the end of a list is added to it.

    >>> replaced('[["a", 1],  ["b"]]', {(0, 1): 3, (1, 1): 7})
    '[["a", 3],  ["b", 7]]'

    Raises:
        LookupError: a place that is not there.
    """
    edits = []
    for path, value in values.items():
        try:
            edits.append((*span(text, path), json.dumps(value)))
        except LookupError:
            *outer, place = path
            if not isinstance(place, int) or place == 0:
                raise
            _, end = span(text, (*outer, place - 1))
            edits.append((end, end, f", {json.dumps(value)}"))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def with_member(text: str, outer: Path, key: str, value: Any) -> str:
    """A copy in which an object has another member, as the last one, or other than before.

    >>> print(with_member('{"a": 1}', (), "b", [2]))
    {"a": 1,
      "b": [2]}

    Raises:
        LookupError: there is no such object.
    """
    start, end = span(text, outer)
    members = list(_members(text, start))
    margin = " " * (_INDENT * (len(outer) + 1))
    new = laid_out(value).replace("\n", f"\n{margin}")
    for name, first, last in members:
        if name == key:
            return text[:first] + new + text[last:]
    at = members[-1][2] if members else start + 1
    before = "," if members else ""
    after = "" if members else f"\n{margin[_INDENT:]}"
    rest = text[at:] if members else text[end - 1 :]
    return f"{text[:at]}{before}\n{margin}{json.dumps(key)}: {new}{after}{rest}"


def without_member(text: str, outer: Path, key: str) -> str:
    """A copy in which an object has no such member, nor the comma that it needs.

    >>> without_member('{"a": 1, "b": 2}', (), "b"), without_member('{"a": 1, "b": 2}', (), "a")
    ('{"a": 1}', '{"b": 2}')

    Raises:
        LookupError: there is no such object.
        ValueError: it has no such member.
    """
    start, end = span(text, outer)
    members = list(_members(text, start))
    place = [name for name, _, _ in members].index(key)
    if place:
        return text[: members[place - 1][2]] + text[members[place][2] :]
    if len(members) == 1:
        return f"{text[: start + 1]}{text[end - 1 :]}"
    own, comma = _after_space(text, start + 1), text.index(",", members[0][2])
    return text[:own] + text[_after_space(text, comma + 1) :]


def laid_out(value: Any) -> str:
    """The text of a value: on one line where that is short, else one line a member.

    >>> print(laid_out({"name": "iris", "variants": 8 * ["control"]}))
    {
      "name": "iris",
      "variants": [
        "control",
        "control",
        "control",
        "control",
        "control",
        "control",
        "control",
        "control"
      ]
    }
    """
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _LINE or not isinstance(value, Mapping | list):
        return line
    if isinstance(value, Mapping):
        begin, end = "{}"
        parts = [
            f"{json.dumps(name, ensure_ascii=False)}: {laid_out(each)}"
            for name, each in value.items()
        ]
    else:
        begin, end = "[]"
        parts = [laid_out(each) for each in value]
    margin = f"\n{' ' * _INDENT}"
    body = f",{margin}".join(part.replace("\n", margin) for part in parts)
    return f"{begin}{margin}{body}\n{end}"
