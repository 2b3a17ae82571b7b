"""How many requests are enough if both models answer each of them, as a shadow does."""

import math
from dataclasses import dataclass

from abctl.stats.power import sizes, targets


@dataclass(frozen=True)
class Pairs:
    """Requests that both models answer, looked at once.

    >>> pairs_of(0.01, 0.05, alpha=0.05, power=0.8, one_sided=False)
    Pairs(n=3923, labels=197, differ=0.05)

    Attributes:
        labels: of them, about so many have different answers: they alone need a label.
        differ: their share.
    """

    n: int
    labels: int
    differ: float


def pairs_of(
    effect: float, differ: float, alpha: float, power: float, *, one_sided: bool
) -> Pairs | None:
    """Requests that find a difference of two shares of right answers.

    Args:
        effect: treatment minus control.
        differ: the share of requests whose answers differ. One model alone is right in as many at
            most, which is what is planned with.
        alpha: of this comparison.
        power: the probability to find the effect.
        one_sided: whether only the effect's own sign counts.

    Returns:
        None where the effect is larger than the share can make it.
    """
    if abs(effect) > differ:
        return None
    n, _ = sizes.sample_size(targets.pairs(effect, differ), alpha, power, one_sided=one_sided)
    return Pairs(n, math.ceil(n * differ), differ)
