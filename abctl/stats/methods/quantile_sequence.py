"""A quantile of two histograms, at any time: a confidence sequence.

With q the plan's quantile of the values up to now (epochs weighted alike in both variants):
H0 (`two-sided`): q_treatment - q_control = null; with a relative null m,
q_treatment = (1 + m) * q_control. `greater`: H0 is "at most", `less`: H0 is "at least".
As a guardrail on p95 latency with margin 10%: `less` with null +10% proves "p95 at most 10% worse",
`greater` with null 0 proves "p95 worse". Nothing is said of any other part of the distribution: to
prove that nothing at all is slower, use `histogram_sequence`.

The standard error of each look is half of Woodruff's interval at one deviation, widened as far as
requests came in bursts (see `bursts`): by how much the share of values above the edge next to the
quantile of both variants differs between them from poll to poll. The difference in such errors is
mapped from Student's t to a normal one and enters a mixture over effects around the MDE (see
`mixture`). Looks count from 10 values expected beyond the quantile in each variant, and from about
16 polls.

Sources: Woodruff (1952), doi:10.1080/01621459.1952.10483443; Waudby-Smith et al. (2024),
arXiv:2103.06476, theorem 2.2; Wallace (1959), doi:10.1214/aoms/1177706090; of bursts see `bursts`.
"""

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.sequential.mixture import relative_default
from abctl.stats.sequential.sequence import Contrasts, Paths, kept, sequential
from abctl.stats.summaries.bursts import TOO_SHORT, Bursts, bursts
from abctl.stats.summaries.histograms import (
    MIN_BEYOND,
    Distribution,
    Pair,
    bucket_notes,
    distributions,
)
from abctl.stats.summaries.moments import supported
from abctl.stats.summary import Array, Histogram, Stream, common_edges

SUMMARY = Histogram
SEQUENTIAL = True
ASSUMPTIONS = (
    "values may be alike for a time (bursts), if that is short against all the time seen",
    "inside a bucket of the histogram values are evenly spread",
    "quantiles of this many values are close to normal",
)


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """The difference of the plan's quantile and its lift, valid however often anyone looks.

    >>> edges, polls = (0.1, 0.25, 0.5), 40  # edges in seconds
    >>> control = Histogram([[70, 25, 4, 1]] * polls, edges)
    >>> treatment = Histogram([[60, 30, 8, 2]] * polls, edges)
    >>> found = estimate(Stream(control, treatment, [0] * polls), Plan(quantile=0.9))
    >>> round(found.control, 4), round(found.treatment, 4), found.rejects
    (0.22, 0.25, True)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[Histogram], plan: Plan) -> Contrasts | NotEstimable:
    """The contrast at every look, or why there is none."""
    if (quantile := plan.quantile) is None:
        return NotEstimable("quantile_sequence", Remark("noQuantile"))
    pair = distributions(stream)
    if isinstance(pair, Remark):
        return NotEstimable("quantile_sequence", pair)
    (a, var_a), (b, var_b) = (_levels(pair, side, quantile) for side in (pair.a, pair.b))
    few = pair.few(quantile)
    if few[-1] < MIN_BEYOND:
        facts = {"expected_count": float(few[-1]), "needed_count": MIN_BEYOND}
        return NotEstimable("quantile_sequence", Remark("tooFewBeyondQuantile", facts), pair.n)
    finite = np.isfinite(a + b + var_a + var_b)
    if not finite[-1]:
        reason = Remark("quantileAboveEdges", {"edge": float(pair.a.edges[-1])})
        return NotEstimable("quantile_sequence", reason, pair.n)
    found = quantile_bursts(stream, pair, quantile)
    if not found.enough[-1]:
        return NotEstimable("quantile_sequence", TOO_SHORT, pair.n)
    a, b, var_a, var_b = (np.where(finite, path, 0.0) for path in (a, b, var_a, var_b))
    paths = Paths(
        a,
        b,
        found.factor * var_a,
        found.factor * var_b,
        np.zeros_like(a),
        found.df,
        finite & (few >= MIN_BEYOND) & found.enough,
        relative_default(0.5 * (a + b)),
    )
    contrast = paths.last(pair.n, pair.epochs)
    notes = bucket_notes(pair, quantile, 3.0)

    def of(plan: Plan) -> Estimate | NotEstimable:
        return sequential(
            "quantile_sequence", paths, contrast, plan, assumptions=ASSUMPTIONS, notes=notes
        )

    return Contrasts(paths, pair.n, of)


def quantile_bursts(stream: Stream[Histogram], pair: Pair, quantile: float) -> Bursts:
    """Bursts of values above the edge that is nearest to the quantile."""
    sides = common_edges(stream.control, stream.treatment)
    n_a, n_b = (side.counts.sum(axis=1) for side in sides)
    above_a, above_b = (
        1.0 - np.cumsum(side.counts, axis=1)[:, :-1] / np.maximum(n, 1.0)[:, None]
        for side, n in zip(sides, (n_a, n_b), strict=True)
    )
    pooled = pair.pooled()[:, 1:]
    # An edge with all values on one side of it shows nothing.
    divides = (pooled > 0.0) & (pooled < 1.0 - 1e-9)
    nearest = np.where(divides, np.abs(pooled - quantile), 2.0).argmin(axis=1)
    share = pooled[np.arange(nearest.size), nearest]
    column, unit_variance = np.zeros(n_a.size, dtype=np.int64), np.zeros(n_a.size)
    column[pair.looks], unit_variance[pair.looks] = nearest, share * (1.0 - share)
    found = bursts((n_a, n_b), above_b - above_a, stream.epoch, unit_variance, column)
    return found.at(pair.looks)


def _levels(pair: Pair, side: Distribution, quantile: float) -> tuple[Array, Array]:
    """The quantile at every look and its variance."""
    own, pooled = (
        _variance(Distribution(side.edges, share, side.n), quantile)
        for share in (side.share, pair.pooled())
    )
    beyond = side.n * min(quantile, 1.0 - quantile)
    return side.at(np.full_like(side.n, quantile)), supported(own, pooled, beyond)


def _variance(side: Distribution, quantile: float) -> Array:
    low, high = side.around(quantile, np.ones_like(side.n))
    # Above the last edge there is no number.
    low, high = (np.where(np.isfinite(end), end, np.nan) for end in (low, high))
    return np.square(0.5 * (high - low))
