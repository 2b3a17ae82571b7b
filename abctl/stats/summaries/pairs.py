"""Values of units during the experiment beside a covariate of theirs from before it.

Sources: Deng, Xu, Kohavi & Walker (2013), doi:10.1145/2433396.2433413; of slopes that are known
before each look: Lindon, Ham, Tingley & Bojinov (2022), arXiv:2210.08589.
"""

from dataclasses import dataclass, field

import numpy as np

from abctl.stats.summary import Array, Moments, Stream, Summary, SummaryError, over_epochs, running

# Units of earlier polls that a slope takes.
_MIN_UNITS = 30.0
# Below this share of the squares, the spread of a covariate is mostly rounding.
LOST_SHARE = 1e-10


@dataclass(frozen=True, eq=False)
class Pairs(Summary):
    """n units, sums of y (during) and x (before), of their squares and of their product.

    >>> two = Pairs.of(y=np.array([3.0, 5.0]), x=np.array([1.0, 2.0]))
    >>> two.n, two.y, two.xy
    (array([2.]), array([8.]), array([13.]))

    To keep digits where values are large and spread little, take y about the constant `shift`, and
    x about any constant that is the same in both variants.
    """

    n: Array
    y: Array
    x: Array
    yy: Array
    xx: Array
    xy: Array
    shift: float = field(default=0.0, metadata={"additive": False})

    @classmethod
    def of(cls, y: Array, x: Array, shift: float = 0.0) -> "Pairs":
        """One poll of units, from their values, of any type of number."""
        # Products of small integer types would wrap around.
        y, x = (np.asarray(values, dtype=np.float64) for values in (y, x))
        y = y - shift
        sums = (y.size, y.sum(), x.sum(), y @ y, x @ x, x @ y)
        n, total, of_x, squares, squares_x, products = np.array(sums, dtype=np.float64)[:, None]
        return cls(n, total, of_x, squares, squares_x, products, shift)

    def _check(self) -> None:
        if np.any(self.xx < 0) or np.any(self.yy < 0) or np.any(self.n < 0):
            raise SummaryError("a negative count or sum of squares")


@dataclass(frozen=True, eq=False)
class Adjusted:
    """Values that are adjusted by a coefficient of earlier polls.

    >>> y, x = np.array([[1.0, 2.0, 3.0, 4.0] * 10] * 2), np.array([[1.0, 2.0, 3.0, 4.0] * 10] * 2)
    >>> n, totals, squares = [40] * 2, y.sum(axis=1), (y * y).sum(axis=1)
    >>> side = Pairs(n, totals, totals, squares, squares, squares)
    >>> found = adjusted(Stream(side, side, [0, 0]))
    >>> found.slope, round(found.reduced, 4)  # the first poll has nothing to adjust by yet
    (array([0., 1.]), 1.0)
    >>> found.stream.control.sum_sq - found.stream.control.sum ** 2 / 40  # about the mean
    array([50.,  0.])

    Attributes:
        stream: moments of y - slope (x - center).
        slope: of each poll.
        reduced: the share that it takes off the variance in the end: the squared correlation.
    """

    stream: Stream[Moments]
    slope: Array
    reduced: float


def adjusted(stream: Stream[Pairs]) -> Adjusted:
    """Each poll adjusted by the slope of all polls before it (CUPED with a predictable slope).

    Given the past, the slope and the center are constants, so the difference of means has the same
    expectation whatever they are, as x has the same mean in both variants. So whatever is valid at
    every look for means of y is so for means of the adjusted values.
    """
    both = (stream.control, stream.treatment)
    xx, yy, xy = np.zeros((3, stream.epoch.size))
    n, total = np.zeros((2, stream.epoch.size))
    for side in both:
        so_far = _running(side, stream)
        some = np.maximum(so_far.n, 1.0)
        xx += so_far.xx - so_far.x * so_far.x / some
        yy += so_far.yy - so_far.y * so_far.y / some
        xy += so_far.xy - so_far.x * so_far.y / some
        n, total = n + np.cumsum(side.n), total + np.cumsum(side.x)
    xx, yy, xy = (over_epochs(each, stream.epoch) for each in (xx, yy, xy))
    spread = sum(np.cumsum(side.xx) for side in both)
    known = (n >= _MIN_UNITS) & (xx > LOST_SHARE * spread)
    slope = np.where(known, xy, 0.0) / np.where(known, xx, 1.0)
    reduced = xy[-1] ** 2 / (xx[-1] * yy[-1]) if known[-1] and yy[-1] > 0.0 else 0.0
    slope, center = (_before(each) for each in (slope, total / np.maximum(n, 1.0)))
    control, treatment = (_adjusted(side, slope, center) for side in both)
    return Adjusted(Stream(control, treatment, stream.epoch), slope, float(min(1.0, reduced)))


def _running(side: Pairs, stream: Stream[Pairs]) -> Pairs:
    fields = (side.n, side.y, side.x, side.yy, side.xx, side.xy)
    n, y, x, yy, xx, xy = (running(each, stream.epoch) for each in fields)
    return Pairs(n, y, x, yy, xx, xy, side.shift)


def _before(path: Array) -> Array:
    """What was known before each poll."""
    return np.concatenate((np.zeros(1), path[:-1]))


def _adjusted(side: Pairs, slope: Array, center: Array) -> Moments:
    x = side.x - center * side.n
    xx = side.xx - center * (2.0 * side.x - center * side.n)
    xy = side.xy - center * side.y
    squares = side.yy - slope * (2.0 * xy - slope * xx)
    return Moments(side.n, side.y - slope * x, np.maximum(squares, 0.0), side.shift)
