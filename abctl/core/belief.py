"""What there is to believe of a variant: shown beside what decides."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PosteriorSummary:
    """The Bayesian summary of a variant, with a flat prior; it decides nothing.

    >>> PosteriorSummary("treatment", better=0.98, best=0.98, loss=0.0001, caveat="").better
    0.98

    Attributes:
        variant: its name.
        better: probability to be better than the control; None for the control.
        best: probability to be the best of all variants.
        loss: what choosing it is expected to cost, in the metric's unit.
        caveat: what it must not be used for.
    """

    variant: str
    better: float | None
    best: float
    loss: float
    caveat: str
