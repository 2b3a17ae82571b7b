"""How the split grows by itself: its steps, what may go on only with a person, and where it ends.

The share of a treatment is as large as its harm may be at most. Let U be an upper bound of the mean
harm so far in a metric and m how much is allowed there (the margin of a guardrail, the mde of a
primary). The share is `last * min(1, m / U)` of the metric where that is least, rounded down to a
step. The bounds of all metrics and treatments hold together, so share x mean harm so far is at most
last x m beyond the floor, at every finished poll, with probability 1 - alpha.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from abctl.core.split import TOTAL_BP, format_share

OnHarm = Literal["rollback", "pause"]
OnShip = Literal["promote", "pause"]
PROMOTE = "promote"
"""The gate before everything goes to a treatment."""
USUAL_STEPS_BP = (100, 500, 1000, 2500)


@dataclass(frozen=True)
class Budget:
    """How many more bad outcomes the experiment may cause than the control would.

    >>> Budget("errors", most=300.0).most
    300.0
    """

    metric: str
    most: float


@dataclass(frozen=True)
class Ramp:
    """A ramp as the file declares it; shares are of each treatment, in basis points.

    >>> ramp = Ramp((100, 1000, 5000), gates=("10%", "promote"))
    >>> ramp.floor_bp, ramp.last_bp, ramp.rounded(2500.0)
    (100, 5000, 1000)
    >>> ramp.gate_between(100, 5000), ramp.gate_between(1000, 5000)
    ('10%', None)

    Attributes:
        steps_bp: shares that a treatment may have, ascending.
        hold_seconds: how long a step counts at least, before the next one.
        gates: steps, written as shares, and `promote`, that a person approves first.
        on_harm: what follows where harm is proven, or time is over.
        on_ship: what follows where a treatment may ship.
        least_bp: the floor, where it is not the first step.
        max_step_bp: what the share may grow by at once.
        budget: of bad outcomes; None for none.
    """

    steps_bp: tuple[int, ...]
    hold_seconds: float = 3600.0
    gates: tuple[str, ...] = ()
    on_harm: OnHarm = "rollback"
    on_ship: OnShip = "pause"
    least_bp: int | None = None
    max_step_bp: int = 10_000
    budget: Budget | None = None

    @property
    def floor_bp(self) -> int:
        """The share that no bound of harm lowers further."""
        return self.steps_bp[0] if self.least_bp is None else self.least_bp

    @property
    def last_bp(self) -> int:
        """The share of a treatment whose harm is within what is allowed."""
        return self.steps_bp[-1]

    def rounded(self, share_bp: float) -> int:
        """The largest step that is not above a share; the floor at least."""
        return max(
            (s for s in self.steps_bp if self.floor_bp < s <= share_bp), default=self.floor_bp
        )

    def gate_between(
        self, share_bp: int, wanted_bp: int, approved: Iterable[str] = ()
    ) -> str | None:
        """The first gate that a share would pass on its way up, and that nobody has approved."""
        steps = (each for each in self.steps_bp if share_bp < each <= wanted_bp)
        shut = set(self.gates) - set(approved)
        return next((gate for each in steps if (gate := format_share(each)) in shut), None)

    def below(self, gate: str) -> int:
        """The last step before a gate; 0 where it is at the first."""
        before = takewhile(lambda step: format_share(step) != gate, self.steps_bp)
        return max(before, default=0)


def usual_steps(treatments: int) -> tuple[int, ...]:
    """Steps up to equal shares of all variants.

    >>> usual_steps(1), usual_steps(2)
    ((100, 500, 1000, 2500, 5000), (100, 500, 1000, 2500, 3333))
    """
    equal = TOTAL_BP // (treatments + 1)
    return (*(each for each in USUAL_STEPS_BP if each < equal), equal)
