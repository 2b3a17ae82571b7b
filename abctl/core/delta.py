"""Sizes of effects as people write them: `2pp`, `2%`, `0.5abs`; never a bare number."""

import re

from abctl.core.experiment import Kind
from abctl.errors import SpecError
from abctl.stats.delta import Delta

_DELTA = re.compile(r"^\s*(\d+(?:\.\d*)?|\.\d+)\s*(pp|%|abs)?\s*$", re.ASCII)
_LARGEST = 1e100
_HINT = (
    "write 2pp (two percentage points), 2% (relative to the control), "
    "or 0.5abs (in the metric's unit)"
)


def parse_delta(text: str) -> Delta:
    """`2pp`, `2%` or `0.5abs` as a size of effect.

    >>> parse_delta("2pp"), parse_delta("2%"), parse_delta("0.5abs")
    (Delta(value=0.02, relative=False), Delta(value=0.02, relative=True),
     Delta(value=0.5, relative=False))

    Raises:
        SpecError: not a number with a unit, negative, or too large; a bare number could mean any of
            the three.
    """
    match = _DELTA.match(str(text))
    if match is None:
        raise SpecError(f"{text!r} is not a size of effect", _HINT)
    number, unit = float(match[1]), match[2]
    if unit is None:
        raise SpecError(f"{text!r} could be points or percent, must say which", _HINT)
    if number > _LARGEST:
        raise SpecError(f"{text!r} is larger than any effect", _HINT)
    return Delta(number if unit == "abs" else number / 100, relative=unit == "%")


def format_delta(delta: Delta, kind: Kind = "proportion") -> str:
    """The text that `parse_delta` reads back; points for proportions, `abs` for other kinds."""
    if delta.relative:
        return f"{delta.value * 100:.12g}%"
    return f"{delta.value * 100:.12g}pp" if kind == "proportion" else f"{delta.value:.12g}abs"
