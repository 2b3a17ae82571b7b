"""When sequential tests stop under a true effect, against the size of the fixed test."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from _worlds import histogram, lognormal
from scipy.stats import norm

from abctl.stats.estimate import Delta, Plan
from abctl.stats.fixed.contrast import Null
from abctl.stats.methods.histogram_sequence import log_e_path as histogram_path
from abctl.stats.sequential.linear_e import Pairs
from abctl.stats.sequential.linear_e import log_e_path as counts_path

REJECT = math.log(1.0 / 0.05)
# The fixed sizes: 5% to 5.5% and 0.1% to 0.3% by the pooled formula (two-sided, 80%), in polls.
_CONVERSION, _RARE = 31_234 / 200, 5_972 / 100
_SLOWER, _EACH = 1.05, 10
# Mann & Whitney's (Noether 1987), per variant, where logarithms differ by log 1.05 and vary by 0.6.
_ABOVE = norm.cdf(math.log(_SLOWER) / 0.6 / math.sqrt(2.0))
_LATENCY = (norm.ppf(0.975) + norm.ppf(0.8)) ** 2 / (6.0 * (_ABOVE - 0.5) ** 2) / _EACH


@dataclass(frozen=True)
class Case:
    """An effect, how its log e-value is drawn, the fixed size in polls, and what is wanted.

    `draw(rng, polls)` gives the log e-value after each poll; `most_n` and `most_expected` are the
    targets for the size with 80% power and for the expected size, over the fixed size.
    """

    name: str
    draw: object
    fixed: float
    most_n: float | None
    most_expected: float | None

    def stops(self, rng, experiments):
        """The poll at which each experiment stops; the horizon where it does not."""
        horizon = math.ceil(2.5 * self.fixed)
        found = np.full(experiments, horizon)
        for i in range(experiments):
            over = np.flatnonzero(self.draw(rng, horizon) >= REJECT)
            if over.size:
                found[i] = over[0] + 1
        return found


def _conversion(rng, looks, plan, rates, sizes):
    a, b = (np.full(looks, size) for size in sizes)
    hits = (rng.binomial(n, p) * 1.0 for n, p in zip((a, b), rates, strict=True))
    first, second = hits
    return counts_path(Pairs(a * 1.0, first, b * 1.0, second), Null(1.0, 0.0), plan)


def _latency(rng, looks, plan):
    a = histogram(lognormal(rng, (looks, _EACH)))
    b = histogram(lognormal(rng, (looks, _EACH)) * _SLOWER)
    return histogram_path(a, b, plan)[0]


def _msprt(rng, looks, rates, n, tau):
    size = n * np.arange(1.0, looks + 1)
    s_a, s_b = (np.cumsum(rng.binomial(n, p, looks)) for p in rates)
    pooled = (s_a + s_b) / (2.0 * size)
    variance = np.maximum(pooled * (1.0 - pooled), 1e-9) * 2.0 / size
    growth = tau * tau / variance
    z = (s_b - s_a) / size / np.sqrt(variance)
    return 0.5 * z * z * growth / (1.0 + growth) - 0.5 * np.log1p(growth)


def _cases():
    mde = Delta(0.005, relative=False)
    two = Plan(mde=mde)
    point = Plan(mde=mde, prior="two-point")
    one = Plan(mde=mde, prior="two-point", alternative="greater")
    rare = Plan(mde=Delta(2.0, relative=True))
    slow = Plan(mde=Delta(_SLOWER - 1.0, relative=True), quantile=0.5)
    slower = Plan(mde=slow.mde, quantile=0.5, alternative="greater")
    common = {"rates": (0.05, 0.055), "sizes": (200, 200)}
    for plan, name, most_n, most_expected in (
        (two, "default", 1.55, 0.93),
        (point, "two-point", 1.48, 0.88),
        (one, "one-sided", 1.2, 0.70),
    ):
        draw = partial(_conversion, plan=plan, **common)
        yield Case(f"5% > 5.5%, {name}", draw, _CONVERSION, most_n, most_expected)
    draw = partial(_msprt, rates=common["rates"], n=200, tau=0.005)
    yield Case("5% > 5.5%, mSPRT", draw, _CONVERSION, None, None)
    draw = partial(_conversion, plan=rare, rates=(0.001, 0.003), sizes=(1900, 100))
    yield Case("0.1% > 0.3%, 5% canary", draw, _RARE, None, 0.55)
    yield Case("latency +5%, default", partial(_latency, plan=slow), _LATENCY, None, 0.90)
    yield Case("latency +5%, one-sided", partial(_latency, plan=slower), _LATENCY, None, 0.76)


CASES = tuple(_cases())
