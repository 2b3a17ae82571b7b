"""Sizes of effects; apart from what methods answer, so that the domain need not load that."""

from dataclasses import dataclass


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
