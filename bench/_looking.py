"""What looking at any time costs, of every rule in one run: 5% against 5.5%, polls of 200.

All are two-sided at 5%, over the fixed two-sided test with 80% power, looked at after each poll.
`z` and `Bayes` are what is often done; they err far too often, so their sizes say nothing.
"""

import math
from functools import partial

import numpy as np
from scipy.stats import norm

from abctl.stats import methods
from abctl.stats.estimate import Delta, Plan
from abctl.stats.power.up_to_horizon import cost_of_horizon
from abctl.stats.summary import Counts, Stream

EACH, RATE, EFFECT, ALPHA = 200, 0.05, 0.005, 0.05
FIXED = 31_234 / EACH
LOOKS = math.ceil(2.5 * FIXED)
# So many units in all GrowthBook's sequential intervals are tuned to, unless they are told.
_TUNED = 5000.0
_ONCE = (norm.isf(ALPHA / 2.0) + norm.ppf(0.8)) ** 2
PLAN = Plan(mde=Delta(EFFECT, relative=False), horizon=_ONCE * cost_of_horizon()[0])


def _totals(counts):
    n = EACH * np.arange(1.0, counts.shape[1] + 1.0)
    a, b = (np.cumsum(each) / n for each in counts)
    return b - a, (a * (1.0 - a) + b * (1.0 - b)) / n, n


def _z(counts, threshold):
    difference, variance, _ = _totals(counts)
    return np.abs(difference) > threshold * np.sqrt(np.maximum(variance, 1e-12))


def _msprt(counts):
    difference, variance, _ = _totals(counts)
    growth = EFFECT**2 / variance
    square = np.square(difference) / variance
    return 0.5 * square * growth / (1.0 + growth) - 0.5 * np.log1p(growth) >= -math.log(ALPHA)


def _growthbook(counts):
    """An asymptotic confidence sequence (Waudby-Smith et al., arXiv:2103.06476)."""
    difference, variance, n = _totals(counts)
    both = 2.0 * n
    rho = (-2.0 * math.log(ALPHA) + math.log(1.0 - 2.0 * math.log(ALPHA))) / _TUNED
    grown = both * rho + 1.0
    width = 2.0 * grown / (both**2 * rho) * np.log(np.sqrt(grown) / ALPHA)
    return np.square(difference) > both * variance * width


def _first(decided):
    return int(np.argmax(decided)) + 1 if decided.any() else math.inf


def _ours(method, counts):
    """By halving: what an always-valid method has proven stays proven."""
    judge = methods.method(method).estimate
    n = np.full(counts.shape[1], EACH)
    sides = [Counts(n, each) for each in counts]

    def rejects(look):
        polls = np.arange(n.size) < look
        return judge(Stream(*(side.at(polls) for side in sides), np.zeros(look)), PLAN).rejects

    if not rejects(n.size):
        return math.inf
    low, high = 0, n.size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if rejects(middle) else (middle, high)
    return high


RULES = {
    "`proportion_horizon`": partial(_ours, "proportion_horizon"),
    "`proportion_sequence`": partial(_ours, "proportion_sequence"),
    "mSPRT": lambda counts: _first(_msprt(counts)),
    "GrowthBook's": lambda counts: _first(_growthbook(counts)),
    "z at each look": lambda counts: _first(_z(counts, norm.isf(ALPHA / 2.0))),
    "Bayes > 95%": lambda counts: _first(_z(counts, norm.isf(ALPHA))),
}


def rows(rng, experiments):
    """Of each rule: errors, power at its 80% size, that size, and the expected ones."""
    stops = {rule: [] for rule in RULES}
    for times in (0.0, 1.0, 2.0):
        found = {rule: np.empty(experiments) for rule in RULES}
        for i in range(experiments):
            rates = np.array([[RATE], [RATE + times * EFFECT]])
            counts = rng.binomial(EACH, rates, (2, LOOKS))
            for rule, first in RULES.items():
                found[rule][i] = first(counts)
        for rule, each in found.items():
            stops[rule].append(each)
    for rule, (none, once, twice) in stops.items():
        errors = float(np.mean(none <= FIXED * 1.1))
        most = float(np.quantile(np.minimum(once, LOOKS), 0.8))
        if rule == "`proportion_horizon`":
            # Its size is planned; what it finds after that, it finds late.
            most = cost_of_horizon()[0] * FIXED + 1.0
        power = float(np.mean(once <= most))
        expected = [float(np.minimum(each, most).mean()) / FIXED for each in (once, twice)]
        yield (
            rule,
            f"{errors:.3f} ± {math.sqrt(max(errors, 0.01) * (1.0 - errors) / experiments):.3f}",
            f"{most / FIXED:.2f}",
            f"{power:.3f} ± {math.sqrt(power * (1.0 - power) / experiments):.3f}",
            *(f"{each:.2f}" for each in expected),
        )


HEADER = ("rule", "errs", "n for 80%", "power there", "expected n", "expected at twice the effect")
