"""How bad a treatment may still be, as a bound."""

from dataclasses import dataclass

from abctl.stats.delta import Delta


@dataclass(frozen=True)
class Worst:
    """How bad a treatment may still be in a metric, which a ramp follows.

    >>> Worst(Delta(0.005, relative=False), level=0.0125, harm=0.01).ratio
    2.0

    Attributes:
        allowed: how much worse it may be: the margin, or the mde of a primary.
        level: the chance that this bound is too low at any look.
        harm: the upper bound of the mean harm so far; relative where `allowed` is. Negative: it is
            better than the control. None where there is none.
    """

    allowed: Delta
    level: float
    harm: float | None

    @property
    def ratio(self) -> float | None:
        """The harm over what is allowed."""
        return None if self.harm is None else self.harm / self.allowed.value
