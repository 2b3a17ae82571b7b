"""Two means, adjusted by a covariate of each unit from before, once (CUPED).

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

Sources: those of `abctl.stats.cuped`.
"""

from abctl.stats import cuped
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Stream

SUMMARY = Pairs
SEQUENTIAL = False
ASSUMPTIONS = cuped.ASSUMPTIONS


def estimate(stream: Stream[Pairs], plan: Plan) -> Estimate | NotEstimable:
    """The adjusted difference of two means and its lift.

    >>> import numpy as np
    >>> before = np.arange(100.0) / 20  # of 100 units in each variant
    >>> during = before + np.where(np.arange(100) % 2, 1.0, -1.0)
    >>> control, treatment = Pairs.of(during, before), Pairs.of(during + 0.5, before)
    >>> found = estimate(Stream(control, treatment, [0]), Plan())
    >>> round(found.effect, 4), found.method
    (0.5, 'cuped')
    """
    return cuped.estimate(stream, plan)
