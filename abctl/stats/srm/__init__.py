"""Sample ratio mismatch: does the traffic follow the split that was ordered, epoch by epoch?

A mismatch means that variants got units that they should not have, so that no comparison of them
can be trusted. H0: within every epoch each unit goes to variant v with the epoch's share of v.
Rows are polls or epochs; the shares of each row come from the ledger. A share of 0 takes a variant
out of that row; traffic on it is a mismatch by itself, whatever the numbers elsewhere.

`fixed` and `sequential` count units (users, or requests that are assigned one by one);
`clustered` is for users that are assigned while only their requests are counted.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from abctl.stats.estimate import NotEstimable, Remark
from abctl.stats.fixed.reference import chi2_tail
from abctl.stats.srm._clustered import ALPHA, SrmResult, Traffic, clustered
from abctl.stats.summary import Array, SummaryError

__all__ = ["ALPHA", "SrmResult", "clustered", "fixed", "sequential"]

_MIN_EXPECTED = 10.0
_MANY_VARIANTS = 4
# How much nearer to the ordered shares one variant is looked for, and all of many: the more there
# are, the smaller are the differences that all of them together show.
_NEARER, _NEARER_OF_MANY = (1.0, 20.0), (1.0, 20.0, 400.0)


def fixed(counts: ArrayLike, shares: ArrayLike, alpha: float = ALPHA) -> SrmResult | NotEstimable:
    """Chi-squared check of counts against the ledger, for one look.

    >>> found = fixed(counts=[[5000, 5400]], shares=[[0.5, 0.5]])
    >>> round(found.statistic, 2), found.mismatch  # 2 * 200^2 / 5200
    (15.38, True)

    The deviations from the expectation are added up over epochs and compared with the sum of the
    multinomial covariances. A sum of one chi-squared per epoch would be valid as well, but spends
    its degrees of freedom on all patterns over time; what breaks splits (a wrong hash, a lost
    event, a proxy that retries) pushes the same variant the same way in every epoch, and the
    pooled deviation keeps one degree of freedom per variant for exactly that. Its blind spot, a
    bias that changes sign between epochs, is what `sequential` sees.

    Args:
        counts: units, shape (rows, variants).
        shares: expected share of each variant, same shape; each row sums to 1.
        alpha: error rate.

    Raises:
        SummaryError: counts are negative or not whole, or the shares of a row do not sum to 1.

    Source: Pearson (1900), with the summed covariance of independent multinomials.
    """
    traffic = Traffic.of("chi-squared", counts, shares, alpha)
    if (known := traffic.settled()) is not None:
        return known
    deviation, covariance = traffic.deviation, traffic.covariance()
    expected = np.array(traffic.expected)
    compared = np.diag(covariance) > 0
    if (smallest := expected[compared].min()) < _MIN_EXPECTED:
        facts = {"expected_count": float(smallest), "needed_count": _MIN_EXPECTED}
        return traffic.refused(Remark("tooFewUnitsExpected", facts))
    # The covariance is singular (deviations sum to zero); its range has the degrees of freedom.
    values, vectors = np.linalg.eigh(covariance)
    in_range = values > 1e-9 * values[-1]
    statistic = float(np.sum((deviation @ vectors[:, in_range]) ** 2 / values[in_range]))
    df = float(in_range.sum())
    return traffic.result(*chi2_tail(statistic, df), statistic, (df,), guarantee="asymptotic")


def sequential(
    counts: ArrayLike, shares: ArrayLike, alpha: float = ALPHA, concentration: float = 100.0
) -> SrmResult | NotEstimable:
    """Always-valid check: stays valid however often anyone looks, and through changes of the split.

    >>> polls = [[500, 700], [120, 1080]]  # shares were 50/50, then 10/90
    >>> found = sequential(polls, shares=[[0.5, 0.5], [0.1, 0.9]])
    >>> found.mismatch, found.reason
    (True, 'variant 0 got 620 of 2,400 (25.83%), expected 720 (30.00%)')

    The Bayes factor of a Dirichlet(concentration * share) mixture against the ordered shares; each
    period of constant shares has a Dirichlet of its own, and their factors multiply. With more than
    four variants half of the weight goes to one variant that differs while all others keep their
    ratios, and the other half to all of them: each near the ordered share and nearer. So one of
    many variants, and small differences of all, are seen as soon as of few.

    Args:
        counts: units that arrived in each poll, shape (polls, variants), in order of time.
        shares: expected shares, same shape; each row sums to 1.
        alpha: error rate over all looks together.
        concentration: how near to the ordered shares a bias is looked for; tunes power only.

    Raises:
        SummaryError: counts are negative or not whole, or the shares of a row do not sum to 1.

    Source: Lindon & Malek (2022), arXiv:2011.03567.
    """
    if not 0.0 < concentration < math.inf:
        raise SummaryError(f"concentration {concentration}, must be a number over 0")
    traffic = Traffic.of("Dirichlet-multinomial", counts, shares, alpha)
    if (known := traffic.settled()) is not None:
        return known
    if np.count_nonzero(traffic.share.max(axis=0)) <= _MANY_VARIANTS:
        log_e = _log_bayes_factors(traffic.n, traffic.share, concentration)
    else:
        nearer = [concentration * c for c in _NEARER_OF_MANY]
        log_e = _mean([_log_bayes_factors(traffic.n, traffic.share, c) for c in nearer])
        alone = _one_against_all(traffic.n, traffic.share, concentration)
        log_e = np.logaddexp(log_e, alone) - math.log(2.0)
    log_p = min(0.0, -float(log_e.max()))
    return traffic.result(math.exp(log_p), log_p, float(log_e[-1]), (), guarantee="exact")


def _one_against_all(n: Array, share: Array, concentration: float) -> Array:
    """The mean over variants of the factors of each against all others, after each poll."""
    found = []
    for variant in np.flatnonzero(share.max(axis=0) > 0.0):
        counts, shares = (
            np.stack((x[:, variant], x.sum(axis=1) - x[:, variant]), axis=1) for x in (n, share)
        )
        found += [_log_bayes_factors(counts, shares, concentration * c) for c in _NEARER]
    return _mean(found)


def _mean(log_e: list[Array]) -> Array:
    return np.asarray(np.logaddexp.reduce(log_e, axis=0) - math.log(len(log_e)))


def _log_bayes_factors(n: Array, share: Array, concentration: float) -> Array:
    """The log Bayes factor after each poll."""
    begins = np.append(True, np.any(share[1:] != share[:-1], axis=1))
    period = np.cumsum(begins) - 1
    total = np.cumsum(n, axis=0)
    within = total - (total - n)[begins][period]
    prior = np.where(share > 0, concentration * share, 1.0)
    gained = gammaln(prior + within) - gammaln(prior) - xlogy(within, np.where(share > 0, share, 1))
    size = within.sum(axis=1)
    factor = gammaln(concentration) - gammaln(concentration + size) + gained.sum(axis=1)
    finished = np.append(0.0, np.cumsum(factor[np.append(begins[1:], False)]))
    return np.asarray(factor + finished[period], dtype=np.float64)
