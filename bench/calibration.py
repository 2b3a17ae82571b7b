"""Error rates under constant peeking, and what validity costs in sample size.

    python bench/calibration.py           a short form, about half a minute
    python bench/calibration.py --long    10,000 experiments of 1,000 looks in each world

Everything is drawn afresh with a fixed seed and run through the methods that `abctl` calls.
"""

import argparse
import math
import time
from functools import partial

import numpy as np
from _naive_rules import RULES, decisions
from _table import machine, markdown
from _worlds import WORLDS, histogram, lognormal

from abctl import plugins
from abctl.stats._contrast import Null
from abctl.stats._histogram_e import log_e_path as histogram_path
from abctl.stats._linear_e import Pairs
from abctl.stats._linear_e import log_e_path as counts_path
from abctl.stats.estimate import Delta, Estimate, Plan

ALPHA = 0.05
LIMIT = 0.0544
SEED = 20_261_101
REJECT = math.log(1.0 / ALPHA)


def with_error(share, n):
    return f"{share:.4f} ± {math.sqrt(max(share * (1.0 - share), 1.0 / n) / n):.4f}"


def error_rates(experiments, looks):
    """A row a world: how often each rule rejects at any of the looks, although nothing differs."""
    for index, world in enumerate(WORLDS):
        rng = np.random.default_rng((SEED, index))
        method = plugins.module("abctl.stats.methods", world.method)
        ours, others = 0, np.zeros(len(RULES))
        for _ in range(experiments):
            stream = world.looks(rng, looks)
            found = method.estimate(stream, world.plan)
            ours += isinstance(found, Estimate) and found.rejects
            relative = world.plan.mde.value if world.plan.mde.relative else 0.1
            others += decisions(stream, relative).any(axis=1)
        rate = ours / experiments
        error = math.sqrt(max(rate * (1.0 - rate), 1.0 / experiments) / experiments)
        met = _wanted(rate, error, LIMIT).partition(": ")[2]
        rates = (with_error(share / experiments, experiments) for share in others)
        yield world.name, f"`{world.method}`", with_error(rate, experiments), met, *rates


def crossings(draw, experiments, horizon):
    """The poll at which each experiment stops; the horizon where it does not."""
    found = np.full(experiments, horizon)
    for i in range(experiments):
        over = np.flatnonzero(draw(horizon) >= REJECT)
        if over.size:
            found[i] = over[0] + 1
    return found


def _conversion(plan, p_a, p_b, n_a, n_b):
    def draw(rng, looks):
        a, b = np.full(looks, n_a), np.full(looks, n_b)
        pairs = Pairs(a * 1.0, rng.binomial(a, p_a) * 1.0, b * 1.0, rng.binomial(b, p_b) * 1.0)
        return counts_path(pairs, Null(1.0, 0.0), plan)

    return draw


def _latency(plan, slower, each):
    def draw(rng, looks):
        a = histogram(lognormal(rng, (looks, each)))
        b = histogram(lognormal(rng, (looks, each)) * slower)
        return histogram_path(a, b, plan)[0]

    return draw


def msprt(p_a, p_b, n, tau):
    def draw(rng, looks):
        size = n * np.arange(1.0, looks + 1)
        s_a, s_b = (np.cumsum(rng.binomial(n, p, looks)) for p in (p_a, p_b))
        pooled = (s_a + s_b) / (2.0 * size)
        variance = np.maximum(pooled * (1.0 - pooled), 1e-9) * 2.0 / size
        growth = tau * tau / variance
        z = (s_b - s_a) / size / np.sqrt(variance)
        return 0.5 * z * z * growth / (1.0 + growth) - 0.5 * np.log1p(growth)

    return draw


# The fixed sizes: 5% to 5.5% and 0.1% to 0.3% by the pooled formula (two-sided, 80%), in polls.
_CONVERSION, _RARE = 31_234 / 200, 5_972 / 100
# Mann & Whitney's, (1.96 + 0.84)^2 / (3 / pi * (log 1.05 / 0.6)^2 / 2) in the limit, per variant.
_SLOWER, _EACH = 1.05, 10


def _fixed_latency():
    from scipy.stats import norm  # noqa: PLC0415 - only this row needs it

    theta = norm.cdf(math.log(_SLOWER) / 0.6 / math.sqrt(2.0))
    return (norm.ppf(0.975) + norm.ppf(0.8)) ** 2 / (6.0 * (theta - 0.5) ** 2) / _EACH


def power_rows(experiments):
    mde = Delta(0.005, relative=False)
    two, point, one = (
        Plan(mde=mde),
        Plan(mde=mde, prior="two-point"),
        Plan(mde=mde, prior="two-point", alternative="greater"),
    )
    rare = Plan(mde=Delta(2.0, relative=True))
    slow = Plan(mde=Delta(_SLOWER - 1.0, relative=True), quantile=0.5)
    slower = Plan(mde=slow.mde, quantile=0.5, alternative="greater")
    latency = _fixed_latency()
    rows = (
        ("5% > 5.5%, default", _conversion(two, 0.05, 0.055, 200, 200), _CONVERSION, 1.55, 0.93),
        (
            "5% > 5.5%, two-point",
            _conversion(point, 0.05, 0.055, 200, 200),
            _CONVERSION,
            1.48,
            0.88,
        ),
        ("5% > 5.5%, one-sided", _conversion(one, 0.05, 0.055, 200, 200), _CONVERSION, 1.2, 0.70),
        ("5% > 5.5%, mSPRT", msprt(0.05, 0.055, 200, 0.005), _CONVERSION, None, None),
        ("0.1% > 0.3%, 5% canary", _conversion(rare, 0.001, 0.003, 1900, 100), _RARE, None, 0.55),
        ("latency +5%, default", _latency(slow, _SLOWER, _EACH), latency, None, 0.90),
        ("latency +5%, one-sided", _latency(slower, _SLOWER, _EACH), latency, None, 0.76),
    )
    for index, (name, draw, fixed, most_n, most_expected) in enumerate(rows):
        rng = np.random.default_rng((SEED, 100 + index))
        stop = crossings(partial(draw, rng), experiments, math.ceil(2.5 * fixed))
        n80 = float(np.quantile(stop, 0.8))
        capped = np.minimum(stop, n80)
        expected = float(capped.mean()) / fixed
        error = float(capped.std()) / math.sqrt(experiments) / fixed
        yield (
            name,
            f"{np.mean(stop <= fixed):.2f}",
            f"{n80 / fixed:.2f}",
            _wanted(n80 / fixed, 0.0, most_n),
            f"{expected:.3f} ± {error:.3f}",
            _wanted(expected, error, most_expected),
        )


def _wanted(value, error, most):
    if most is None:
        return "-"
    if value <= most:
        return f"at most {most:g}: met"
    return f"at most {most:g}: {'within the error' if value <= most + 2.0 * error else 'MISSED'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="10,000 experiments of 1,000 looks")
    parser.add_argument("--experiments", type=int, help="experiments in each world")
    parser.add_argument("--looks", type=int, help="looks at each experiment")
    options = parser.parse_args()
    experiments = options.experiments or (10_000 if options.long else 200)
    looks = options.looks or (1_000 if options.long else 300)
    start = time.perf_counter()
    print(f"{experiments:,} A/A experiments of {looks:,} looks each, alpha {ALPHA}: rejected\n")
    header = ("world", "method", "abctl", f"at most {LIMIT}", *RULES)
    print(markdown(header, list(error_rates(experiments, looks))))
    runs = 2_000 if options.long else 200
    print(f"\nSample size over that of the fixed test with 80% power, {runs:,} experiments\n")
    header = ("effect", "power at fixed n", "n for 80%", "wanted", "expected n", "wanted")
    print(markdown(header, list(power_rows(runs))))
    print(f"\n{time.perf_counter() - start:.0f} s on {machine()}")


if __name__ == "__main__":
    main()
