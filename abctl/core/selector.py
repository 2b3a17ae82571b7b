"""Plain PromQL selectors: parse them, match series, add matchers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from abctl.core.number import parse_number
from abctl.errors import SourceError

# Labels whose values are numbers, which not everybody writes alike: le="1", le="1.0".
NUMERIC = ("le", "quantile")
_TEXT = r'"((?:[^"\\]|\\.)*)"'
_MATCHER = re.compile(rf"\s*(?:([a-zA-Z_]\w*)|{_TEXT})\s*(=~|!~|!=|=)\s*{_TEXT}\s*(?:,|$)")
_QUOTED_NAME = re.compile(rf"\s*{_TEXT}\s*(?:,|$)")
_PAIR = re.compile(r'(\w+)(\s*)(=~|!~|!=|=)(\s*)"((?:[^"\\]|\\.)*)"')
_SELECTOR = re.compile(r"\s*([a-zA-Z_:][\w:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)
_NAMES = ("__name__", "=")
_OR = " or "
_WRITE = 'write name{label="value"}'
_PLAIN_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
# A label that no series has: how much later than it happened something is counted, in seconds.
MATURES_IN = "matures_in"
_MATURES_IN = re.compile(rf',?\s*{MATURES_IN}="([0-9.e+]+)"')


def one_of(label: str, values: list[str]) -> str:
    """A matcher for any of the values."""
    return f'{label}=~"{escape(any_of(sorted(values)))}"'


def narrowed(selector: str, labels: Iterable[tuple[str, str]]) -> str:
    """A selector of those series only that have some labels."""
    wanted = [f'{_quoted(name)}="{escape(value)}"' for name, value in labels if name != "__name__"]
    return matching(selector, ",".join(wanted))


def _quoted(label: str) -> str:
    return label if _PLAIN_NAME.fullmatch(label) else f'"{escape(label)}"'


def matures_in(selector: str) -> float:
    """How much later than it happened the selector's counters count something, in seconds.

    >>> matures_in('ab_outcome_count_total{variant="a",matures_in="60"}')
    60.0
    """
    found = _MATURES_IN.search(selector)
    return float(found[1]) if found else 0.0


def as_counted(selector: str) -> str:
    """The selector as a source knows it.

    >>> as_counted('ab_outcome_count_total{variant="a",matures_in="60"}')
    'ab_outcome_count_total{variant="a"}'
    """
    return _MATURES_IN.sub("", selector).replace("{,", "{")


def as_promql(selector: str) -> str:
    """The selector as a user may ask Prometheus for it.

    >>> as_promql('ab_outcome_count_total{matures_in="60"}')
    'ab_outcome_count_total{} offset -60s'
    """
    late = matures_in(selector)
    return f"{as_counted(selector)} offset -{late:g}s" if late else selector


def at_once(selector: str) -> str:
    """The selector, without a maturity that is none."""
    return selector if matures_in(selector) else as_counted(selector)


def either(*selectors: str) -> str:
    """What finds the series of several selectors, none of which finds those of another.

    Sources know selectors alone, so each is asked for by itself: see `alone`.
    """
    return _OR.join(selectors)


def alone(selector: str) -> tuple[str, ...]:
    """The selectors that `either` was made of.

    >>> alone('a{x="b} or c{"} or d{x="e"}')
    ('a{x="b} or c{"}', 'd{x="e"}')
    """
    texts = re.split(r'("(?:[^"\\]|\\.)*")', selector)
    # What stands between quotes is every second one.
    marked = "".join(t if i % 2 else t.replace(_OR, "\0") for i, t in enumerate(texts))
    return tuple(marked.split("\0"))


def matching(selector: str, matcher: str) -> str:
    """A selector with one more matcher."""
    bare = selector.strip()
    if not bare.endswith("}"):
        return f"{bare}{{{matcher}}}"
    inside = bare[:-1].rstrip().rstrip(",")
    return f"{inside}{'' if inside.endswith('{') else ','}{matcher}}}"


@lru_cache(4096)
def canonical(number: str) -> str:
    """A number as all of its spellings: `1`, `1.0` and `1e0` are `1.0`; other text as it is."""
    try:
        value = parse_number(number)
    except ValueError:
        return number
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text := repr(value), text)


@lru_cache(4096)
def spellings(number: str) -> tuple[str, ...]:
    """How client libraries and servers write a number; other text as it is."""
    text = canonical(number)
    if text in ("+Inf", "-Inf", "NaN"):
        return tuple(dict.fromkeys((number, text, text.lower(), text.lstrip("+"))))
    try:
        value = parse_number(number)
    except ValueError:
        return (number,)
    short = f"{value:g}"
    found = [number, text, *([short] if float(short) == value else [])]
    if value.is_integer():
        found.append(str(int(value)))
    exponent = f"{value:e}"
    mantissa, _, power = exponent.partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    found += [
        f"{m}e{p}"
        for m in (mantissa, mantissa if "." in mantissa else f"{mantissa}.0")
        for p in (power, str(int(power)), f"{int(power):+d}")
        if float(f"{m}e{p}") == value
    ]
    return tuple(dict.fromkeys(found))


def plain_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The labels of a series, with those that are numbers written in one way."""
    if not any(name in labels for name in NUMERIC):
        return labels
    return {k: canonical(v) if k in NUMERIC else v for k, v in labels.items()}


def of_numbers(selector: str) -> str:
    """A selector that finds a number in a label however it is written."""

    def any_spelling(found: re.Match[str]) -> str:
        label, operator, value = found[1], found[3], found[5]
        every = spellings(value) if label in NUMERIC and "~" not in operator else ()
        if len(every) < 2:  # noqa: PLR2004 - no number
            return found[0]
        return f'{label}{"!~" if operator == "!=" else "=~"}"{escape(any_of(every))}"'

    return _PAIR.sub(any_spelling, selector)


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
        """Read `name{label="value", other=~"a|b"}`, or `{"a name of any letters", label="value"}`.

        Raises:
            SourceError: the text is not such a selector.
        """
        whole = _SELECTOR.fullmatch(text)
        if whole is None:
            raise _no_selector(text)
        names, body, at = [whole[1]] if whole[1] else [], (whole[2] or "").rstrip(), 0
        matchers: list[tuple[str, str, str]] = []
        while at < len(body):
            if part := _MATCHER.match(body, at):
                label = part[1] or unescape(part[2])
                matchers.append((label, part[3], _checked(part[3], unescape(part[4]))))
            elif part := _QUOTED_NAME.match(body, at):
                names.append(unescape(part[1]))
            else:
                raise _no_selector(text)
            at = part.end()
        names += [value for label, operator, value in matchers if (label, operator) == _NAMES]
        if len(names) != 1:
            told = " and ".join(map(repr, names)) or "no metric"
            raise SourceError(f"{text!r} names {told}, must be one metric", _WRITE)
        return cls(names[0], tuple(each for each in matchers if each[:2] != _NAMES))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series has the name and satisfies every matcher; no label is an empty one."""
        return labels.get("__name__") == self.name and all(
            _fits(label, labels.get(label, ""), operator, value)
            for label, operator, value in self.matchers
        )


def _no_selector(text: str) -> SourceError:
    return SourceError(f"{text!r} is not a selector", _WRITE)


def _checked(operator: str, value: str) -> str:
    try:
        re.compile(value if "~" in operator else "")
    except re.error as error:
        raise SourceError(
            f"{value!r} is not a regular expression: {error}", 'name{label=~"a|b.*"} is one'
        ) from None
    return value


def _fits(label: str, actual: str, operator: str, value: str) -> bool:
    every = spellings(actual) if label in NUMERIC else (actual,)
    if "~" in operator:
        same = any(re.fullmatch(value, each) for each in every)
    else:
        same = value in every or (label in NUMERIC and canonical(value) == canonical(actual))
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
