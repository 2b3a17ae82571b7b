"""A planned ramp: what an experiment takes whose split is shifted on the way.

Each period is compared for itself, and their information adds up. A unit that comes while a
treatment has a small share tells less: as many units as a test at that split takes are worth one
whole test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Shares = tuple[float, ...]


@dataclass(frozen=True)
class Step:
    """A split that is kept for a time, before the last one.

    >>> Step(shares=(0.95, 0.05), days=2.0).days
    2.0

    Attributes:
        shares: of control and treatments; they sum to 1.
    """

    shares: Shares
    days: float


def units_through(
    ramp: Sequence[Step],
    last: Shares,
    per_day: float,
    total: Callable[[Shares], float],
    worth: float = 1.0,
) -> tuple[float, ...]:
    """Units of each variant until what came is worth a whole test, or a part of it.

    >>> steps = [Step((0.9, 0.1), days=1.0)]
    >>> need = {(0.9, 0.1): 4000.0, (0.5, 0.5): 1000.0}  # of all variants, at a constant split
    >>> units_through(steps, (0.5, 0.5), per_day=1000.0, total=need.__getitem__)  # 1/4, then 3/4
    (1275.0, 475.0)

    Args:
        ramp: the steps before the last split; none for a constant split.
        last: shares from then on.
        per_day: units of all variants together.
        total: as many units a whole test takes at a constant split.
        worth: which part of a whole test.
    """
    found = [0.0] * len(last)
    for shares, most in [*((step.shares, step.days * per_day) for step in ramp), (last, None)]:
        units = worth * total(shares)
        if most is not None:
            units = min(units, most)
            worth -= units / total(shares)
        found = [n + units * share for n, share in zip(found, shares, strict=True)]
    return tuple(found)
