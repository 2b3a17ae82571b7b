"""Sizes of effects; apart from what methods answer, so that the domain need not load that."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Delta:
    """A size of effect: relative to the control (`2%`) or absolute in the metric's unit (`2pp`)."""

    value: float
    relative: bool

    def absolute(self, control: float) -> float:
        """The size in the metric's unit, given the control's value."""
        return self.value * abs(control) if self.relative else self.value
