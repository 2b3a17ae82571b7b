"""What a collector is told of outcomes, and a report of one."""

import math
from dataclasses import dataclass
from typing import Literal

from ab_runtime.feedback import LARGEST
from ab_runtime.token import Token

Kind = Literal["binary", "number", "return"]
Times = Literal["once", "many"]
AGE_PARTS = (1 / 16, 1 / 2)
"""Ages up to which reports are counted apart, as parts of the maturity."""
GROUPS = 16
"""Groups of buckets by which they are: bucket modulo this."""


@dataclass(frozen=True)
class Outcome:
    """An outcome as the experiment declares it.

    Attributes:
        kind: `binary` is 0 or 1, `number` any finite one up to 1e12 either way. `return` nobody
            reports: a user was answered again, between `after_ms` and the window.
        times: whether one prediction may have several of it, each with an id of its own.
        maturity_ms: how long after its prediction it may come, by the collector's clock.
        window_ms: how long after a user's first answer it may have happened to count for the user.
        of: by which name it is reported; another one where it is counted at several ages.
        cap: what a larger value, or a larger sum of a user, counts as; likewise below zero.
    """

    name: str
    kind: Kind
    times: Times
    maturity_ms: int
    window_ms: int
    after_ms: int = 0
    of: str = ""
    cap: float | None = None

    @property
    def is_reported(self) -> bool:
        """Whether reports name it: not a return, and of several ages the last one."""
        return self.kind != "return" and self.of in ("", self.name)

    @property
    def ages_ms(self) -> tuple[int, ...]:
        """Ages up to which its reports are counted apart: how fast they come."""
        return tuple(round(self.maturity_ms * part) for part in AGE_PARTS)

    def refusal(self, value: float, event: str) -> str | None:
        """Why a value cannot be this outcome's; None if it can."""
        if self.kind == "binary" and value not in (0, 1):
            return f"outcome {self.name} is 0 or 1"
        if not math.isfinite(value) or abs(value) > LARGEST:
            return f"outcome {self.name} is a finite number up to 1e12 either way"
        if self.times == "many" and not event:
            return f"outcome {self.name} may happen many times, so each needs an id"
        return None


@dataclass(frozen=True)
class Item:
    """One report, checked: what happened (and when) after the prediction that the token is of."""

    token: Token
    outcome: Outcome
    value: float
    event: str
    at_ms: int
