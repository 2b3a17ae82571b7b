"""Numbers for people: rounded, with their unit. Machine output is unrounded."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from abctl.core.split import TOTAL_BP, format_share
from abctl.stats.delta import Delta

# A number, with so many more digits than usual.
Written = Callable[[float, int], str]

_SHARE, _SECONDS = "share", "seconds"
_LENGTHS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))
_SMALLEST_P = 1e-4
# From here on an exponent is easier to read.
_ENDLESS = 1e15
# A lift beyond that is of a control that is as good as 0.
_SENSELESS = 1e4
_MOST_DIGITS = 5


def value(number: float | None, unit: str) -> str:
    """A value of a metric: `93.4%`, `1.25 ms`, `12.3`, `1,234,567`.

    >>> value(0.934, "share"), value(0.00125, "seconds"), value(1234567.0, "number")
    ('93.40%', '1.25 ms', '1,234,567')
    """
    if number is None or not math.isfinite(number):
        return "-"
    if unit == _SHARE:
        return f"{number:.2%}"
    return _time(number, "") if unit == _SECONDS else _rounded(number, "", 4)


def difference(number: float, unit: str, more: int = 0) -> str:
    """A difference, with its sign: `+1.2pp`, `-0.31 ms`; an open end is `…`.

    >>> difference(0.012, "share"), difference(-0.00031, "seconds"), relative(0.013)
    ('+1.20pp', '-0.31 ms', '+1.3%')

    Args:
        number: the difference.
        unit: of the metric.
        more: digits than usual.
    """
    if not math.isfinite(number):
        return "…"
    if unit == _SHARE:
        return f"{number * 100:+.{2 + more}f}pp"
    return _time(number, "+", more) if unit == _SECONDS else _rounded(number, "+", 4 + more)


def relative(number: float, more: int = 0) -> str:
    """A relative difference: `+1.3%`, with more digits if wanted; an open end is `…`."""
    if not math.isfinite(number):
        return "…"
    if abs(number) >= _SENSELESS:
        return f"{number * 100:+.{3 + more}g}%"
    return f"{number:+,.{1 + more}%}"


def apart(number: float, boundary: float, written: Written) -> tuple[str, str]:
    """A number and the boundary beside it, with as many digits as it takes to tell them apart.

    Args:
        number: that lies on one side of the boundary.
        boundary: an effect; none is just `0`.
        written: `difference` or `relative`: gives a number with some more digits than usual.
    """
    for more in range(_MOST_DIGITS):
        one, other = written(number, more), limit(boundary, written, more)
        if one != other and re.search("[1-9]", one if other == "0" else one + other):
            return one, other
    return beside(number, boundary, written), limit(boundary, written)


def beside(number: float, boundary: float, written: Written) -> str:
    """A number that is too near to a boundary for digits to tell: `just under +1.00pp`."""
    side = "above" if number > boundary else "under"
    return f"just {side} {limit(boundary, written)}"


def limit(boundary: float, written: Written, more: int = 0) -> str:
    """A boundary: `0`, or a margin with its sign."""
    return written(boundary, more) if boundary else "0"


def interval(ends: Sequence[str]) -> str:
    """`-0.2pp to +1.4pp`."""
    return f"{ends[0]} to {ends[1]}"


def size(delta: Delta, unit: str) -> str:
    """A margin or an MDE, with its sign."""
    return relative(delta.value) if delta.relative else difference(delta.value, unit)


def count(number: float | None) -> str:
    """`12,345`."""
    return "-" if number is None else f"{number:,.0f}"


def probability(p: float, alpha: float | None = None) -> str:
    """`p = 0.012`, `p < 0.0001`; a p above alpha is never rounded down to it.

    >>> probability(0.012), probability(1e-9), probability(0.05001, alpha=0.05)
    ('p = 0.012', 'p < 0.0001', 'p = 0.05001')
    """
    if p < _SMALLEST_P:
        return f"p < {_SMALLEST_P:f}".rstrip("0")
    digits = 2
    while alpha is not None and p > alpha and float(f"{p:.{digits}g}") <= alpha:
        digits += 1
    return f"p = {p:.{digits}g}"


def duration(seconds: float) -> str:
    """`3.2 d`, `12 min`, `40 s`."""
    for length, name in _LENGTHS:
        if seconds >= length:
            return f"{seconds / length:.3g} {name}"
    return f"{max(0.0, seconds):.3g} s"


def _time(seconds: float, sign: str, more: int = 0) -> str:
    if abs(seconds) >= 1:
        return f"{_rounded(seconds, sign, 3 + more)} s"
    return f"{_rounded(seconds * 1000, sign, 3 + more)} ms"


def _rounded(number: float, sign: str, significant: int) -> str:
    """So many significant digits; all those before the point where there are more."""
    if 10 ** (significant - 1) <= abs(number) < _ENDLESS:
        return f"{number:{sign},.0f}"
    return f"{number:{sign},.{significant}g}"


def shares(found: Mapping[str, float] | None) -> str:
    """A split as people read it.

    >>> shares({"control": 0.7, "treatment": 0.3}), shares(None)
    ('control 70%, treatment 30%', 'none')
    """
    if found is None:
        return "none"
    return ", ".join(f"{n} {format_share(round(s * TOTAL_BP))}" for n, s in found.items())
