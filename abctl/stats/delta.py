"""Sizes of effects; apart from what methods answer, so that the domain need not load that."""

import re
from dataclasses import dataclass

UNITS = (
    "write 2pp (two percentage points), 2% (relative to the control), "
    "or 0.5abs (in the metric's unit)"
)
_DELTA = re.compile(r"^\s*(\d+(?:\.\d*)?|\.\d+)\s*(pp|%|abs)?\s*$", re.ASCII)
_LARGEST = 1e100


@dataclass(frozen=True)
class Delta:
    """A size of effect: relative to the control (`2%`) or absolute in the metric's unit (`2pp`).

    >>> Delta(0.02, relative=True).absolute(control=0.5)  # 2% of 50%
    0.01
    >>> Delta(0.02, relative=False).absolute(control=0.5)  # two percentage points
    0.02
    """

    value: float
    relative: bool

    def absolute(self, control: float) -> float:
        """The size in the metric's unit, given the control's value."""
        return self.value * abs(control) if self.relative else self.value


def delta_of(text: str) -> Delta:
    """A size as people write it.

    >>> delta_of("2pp"), delta_of("2%")
    (Delta(value=0.02, relative=False), Delta(value=0.02, relative=True))

    Raises:
        ValueError: not a number with a unit, negative, or too large; a bare number could mean
            points or percent.
    """
    match = _DELTA.match(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a size of effect")
    number, unit = float(match[1]), match[2]
    if unit is None:
        raise ValueError(f"{text!r} could be points or percent, must say which")
    if number > _LARGEST:
        raise ValueError(f"{text!r} is larger than any effect")
    return Delta(number if unit == "abs" else number / 100, relative=unit == "%")
