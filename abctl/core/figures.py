"""Numbers as a person reads them: rounded, with their unit; machines get them unrounded."""

import math
from collections.abc import Sequence

from abctl.stats.delta import Delta

_SHARE, _SECONDS = "share", "seconds"
_LENGTHS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))
_SMALLEST_P = 1e-4


def value(number: float | None, unit: str) -> str:
    """A value of a metric: `93.4%`, `1.25 ms`, `12.3`."""
    if number is None or not math.isfinite(number):
        return "-"
    if unit == _SHARE:
        return f"{number:.2%}"
    return _time(number, "") if unit == _SECONDS else f"{number:,.4g}"


def difference(number: float, unit: str) -> str:
    """A difference, with its sign: `+1.2pp`, `-0.31 ms`; an open end is `…`."""
    if not math.isfinite(number):
        return "…"
    if unit == _SHARE:
        return f"{number * 100:+.2f}pp"
    return _time(number, "+") if unit == _SECONDS else f"{number:+,.4g}"


def relative(number: float) -> str:
    """A relative difference: `+1.3%`; an open end is `…`."""
    return f"{number:+.1%}" if math.isfinite(number) else "…"


def interval(ends: Sequence[str]) -> str:
    """`-0.2pp to +1.4pp`."""
    return f"{ends[0]} to {ends[1]}"


def size(delta: Delta, unit: str) -> str:
    """A margin or an MDE, with its sign."""
    return relative(delta.value) if delta.relative else difference(delta.value, unit)


def count(number: float | None) -> str:
    """`12,345`."""
    return "-" if number is None else f"{number:,.0f}"


def probability(p: float) -> str:
    """`p = 0.012`, `p < 0.0001`."""
    return f"p = {p:.2g}" if p >= _SMALLEST_P else f"p < {_SMALLEST_P:f}".rstrip("0")


def duration(seconds: float) -> str:
    """`3.2 d`, `12 min`, `40 s`."""
    for length, name in _LENGTHS:
        if seconds >= length:
            return f"{seconds / length:.3g} {name}"
    return f"{max(0.0, seconds):.3g} s"


def _time(seconds: float, sign: str) -> str:
    if abs(seconds) >= 1:
        return f"{seconds:{sign}.3g} s"
    return f"{seconds * 1000:{sign}.3g} ms"
