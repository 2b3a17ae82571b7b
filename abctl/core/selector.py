"""Plain PromQL selectors: parse them, match series, add matchers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from abctl.errors import SourceError

_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_SELECTOR = re.compile(r"^\s*([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s*$", re.DOTALL)


def one_of(label: str, values: list[str]) -> str:
    """A matcher for any of the values."""
    return f'{label}=~"{escape(any_of(sorted(values)))}"'


def narrowed(selector: str, labels: Iterable[tuple[str, str]]) -> str:
    """A selector of those series only that have some labels."""
    wanted = [f'{name}="{escape(value)}"' for name, value in labels if name != "__name__"]
    return matching(selector, ",".join(wanted))


def matching(selector: str, matcher: str) -> str:
    """A selector with one more matcher."""
    bare = selector.strip()
    if not bare.endswith("}"):
        return f"{bare}{{{matcher}}}"
    inside = bare[:-1].rstrip().rstrip(",")
    return f"{inside}{'' if inside.endswith('{') else ','}{matcher}}}"


@dataclass(frozen=True)
class Selector:
    """A plain selector, for sources that have no PromQL of their own.

    >>> errors = Selector.parse('requests_total{code=~"5..", variant="control"}')
    >>> errors.matches({"__name__": "requests_total", "code": "503", "variant": "control"})
    True
    """

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read `name{label="value", other=~"a|b"}`.

        Raises:
            SourceError: the text is not such a selector.
        """
        whole = _SELECTOR.match(text)
        body, at, matchers = (whole and whole[2]) or "", 0, []
        while whole and at < len(body.rstrip()):
            part = _MATCHER.match(body, at)
            if part is None:
                whole = None
                break
            matchers.append((part[1], part[2], _checked(part[2], unescape(part[3]))))
            at = part.end()
        if whole is None:
            raise SourceError(f"{text!r} is not a selector", 'write name{label="value"}')
        return cls(whole[1], tuple(matchers))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series has the name and satisfies every matcher; no label is an empty one."""
        return labels.get("__name__") == self.name and all(
            _fits(labels.get(label, ""), operator, value)
            for label, operator, value in self.matchers
        )


def _checked(operator: str, value: str) -> str:
    try:
        re.compile(value if "~" in operator else "")
    except re.error as error:
        raise SourceError(
            f"{value!r} is not a regular expression: {error}", 'name{label=~"a|b.*"} is one'
        ) from None
    return value


def _fits(actual: str, operator: str, value: str) -> bool:
    same = re.fullmatch(value, actual) is not None if "~" in operator else actual == value
    return same != operator.startswith("!")


def unescape(text: str) -> str:
    r"""Label values as they are: `\"`, `\\` and `\n` undone."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def any_of(values: Sequence[str]) -> str:
    """A regular expression of literal texts; what need not be escaped stays readable."""
    texts = [re.sub(r"[.+*?()|\[\]{}^$\\]", r"\\\g<0>", value) for value in values]
    return texts[0] if len(texts) == 1 else f"({'|'.join(texts)})"


def escape(text: str) -> str:
    """Text as it stands between double quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
