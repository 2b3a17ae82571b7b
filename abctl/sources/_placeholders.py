"""Placeholders in selectors (pure): `$name` between double quotes, and what stands for it."""

import re
from collections.abc import Mapping, Sequence

from abctl.errors import SourceError

Names = Mapping[str, Sequence[str]]
"""What stands for each placeholder; several values only where a regular expression may stand."""

_PLACEHOLDER = re.compile(r"\$([a-z]+)")
_QUOTED = re.compile(r'(=~|!~|!=|=)(\s*)"((?:[^"\\]|\\.)*)"')


def fill(selector: str, names: Names) -> str:
    """A selector with its placeholders filled in, between double quotes.

    What stands in a regular expression is one of the values, literally.

    Raises:
        SourceError: a placeholder without a value, with several where only one can stand, or in
            another place than between double quotes.
    """
    if "$" in _QUOTED.sub("", selector):
        raise SourceError(f"{selector}: a placeholder stands in double quotes", 'a="$variant"')

    def value(found: re.Match[str]) -> str:
        def named(place: re.Match[str]) -> str:
            if place[1] not in names:
                known = ", ".join(f"${name}" for name in names)
                raise SourceError(f"{selector}: nothing stands for {place[0]}", f"known: {known}")
            values = names[place[1]]
            if "~" in found[1]:
                return escape(any_of(values))
            if len(values) > 1:
                raise SourceError(f"{selector}: {place[0]} is {', '.join(values)}", "write =~")
            return escape(values[0])

        return f'{found[1]}{found[2]}"{_PLACEHOLDER.sub(named, found[3])}"'

    return _QUOTED.sub(value, selector)


def any_of(values: Sequence[str]) -> str:
    """A regular expression of literal texts; what need not be escaped stays readable."""
    texts = [re.sub(r"[.+*?()|\[\]{}^$\\]", r"\\\g<0>", value) for value in values]
    return texts[0] if len(texts) == 1 else f"({'|'.join(texts)})"


def escape(text: str) -> str:
    """Text as it stands between double quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
