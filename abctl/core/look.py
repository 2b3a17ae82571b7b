"""What a method said of an effect at every look up to now, thinned: points for pictures.

A sequential method's intervals hold at all looks together; those of a test for one look hold at its
planned end only, and the points before it are no answers.
"""

from dataclasses import dataclass

USUAL_LOOKS = 200


@dataclass(frozen=True)
class Look:
    """One point: what the evidence up to then says. NaN where there was no estimate yet.

    >>> Look(at=1_700_000_000.0, effect=0.01, interval=(-0.01, 0.03), p=0.4, n=2_000.0).effect
    0.01

    Attributes:
        at: when its last poll ended, in unix seconds; None where nobody knows.
        effect: treatment minus control, in the metric's unit.
        interval: of the effect, two-sided at 1 - alpha.
        p: of no difference.
        n: units or requests of both variants together.
    """

    at: float | None
    effect: float
    interval: tuple[float, float]
    p: float
    n: float
