"""Pearson's chi-squared test of two proportions, once; stratified, it is Cochran-Mantel-Haenszel.

H0: treatment = control in every epoch; always two-sided, and without a margin. The p-value is the
one without Yates' correction; the corrected one and the smallest expected count are in the notes.
Where an expected count is under 5 the approximation is not to be trusted: use `fisher`.

Sources: Pearson (1900); Yates (1934), doi:10.2307/2983604; Cochran (1954), doi:10.2307/3001666.
"""

from dataclasses import replace

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.reference import chi2_tail
from abctl.stats.fixed.score import FEW, Strata
from abctl.stats.methods import proportion
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = False


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions, with the chi-squared test of "no difference".

    >>> found = estimate(Stream(Counts(1000, 100), Counts(1000, 130), epoch=0), Plan())
    >>> note = found.notes[0]
    >>> round(found.p, 4), note.code, note.facts["expected_count"], round(note.facts["yates_p"], 4)
    (0.0355, 'chiSquared', 115.0, 0.0421)
    """
    strata = Strata.of(stream)
    if isinstance(strata, Remark):
        return NotEstimable("chi_squared", strata)
    if plan.alternative != "two-sided" or plan.null.value != 0.0:
        return NotEstimable("chi_squared", Remark("twoSidedEqualityOnly"), strata.n)
    if strata.expected < FEW:
        facts = {"expected_count": strata.expected, "needed_count": FEW}
        return NotEstimable("chi_squared", Remark("tooFewExpected", facts), strata.n)
    found = proportion.estimate(stream, plan)
    if isinstance(found, NotEstimable):
        return replace(found, method="chi_squared")
    yates, _ = chi2_tail(_yates(strata), 1.0)
    note = Remark("chiSquared", {"expected_count": strata.expected, "yates_p": yates})
    return replace(found, method="chi_squared", notes=(note,))


def _yates(strata: Strata) -> float:
    """The statistic with half a count taken off the deviation (as Mantel & Haenszel do)."""
    total, successes = strata.n_a + strata.n_b, strata.s_a + strata.s_b
    deviation = abs(float(np.sum(strata.s_b - strata.n_b * successes / total)))
    variance = strata.n_a * strata.n_b * successes * (total - successes) / total**3
    if total.size > 1:
        variance = variance * total / (total - 1.0)
    return max(0.0, deviation - 0.5) ** 2 / float(variance.sum())
