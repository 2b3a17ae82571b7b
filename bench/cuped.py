"""Sequential CUPED: its error rate, and the units that it takes over those without a covariate.

python bench/cuped.py [--runs N]
"""

import argparse
import math

import numpy as np
from _table import machine, markdown, target
from scipy.stats import binom

from abctl.stats.delta import Delta
from abctl.stats.estimate import Plan
from abctl.stats.fixed.contrast import null_of
from abctl.stats.summaries.moments import moment_paths
from abctl.stats.summaries.pairs import Pairs, adjusted
from abctl.stats.summary import Moments, Stream

LOOKS, UNITS, ALPHA = 200, 20, 0.05
# One look with 80% power has 1,570 units a variant; all looks together have 4,000.
PLAN = Plan(alpha=ALPHA, mde=Delta(0.1, relative=False))
HEADER = (
    "correlation, values",
    "rejected without effect",
    "wanted",
    "",
    "n80 over raw",
    "wanted",
    "",
)


def values(rng, rho, effect, skewed):
    """One poll a row: sums of values and covariates of both variants."""
    sides = []
    for moved in (0.0, effect):
        x = rng.normal(size=(LOOKS, UNITS))
        if skewed:
            x = (np.exp(x) - math.exp(0.5)) / math.sqrt((math.e - 1.0) * math.e)
        y = rho * x + math.sqrt(1.0 - rho**2) * rng.normal(size=x.shape) + moved
        each = (np.ones_like(y), y, x, y * y, x * x, x * y)
        sides.append(Pairs(*(part.sum(axis=1) for part in each)))
    return Stream(*sides, np.zeros(LOOKS))


def first_rejection(stream):
    """The first look that rejects; LOOKS if none does."""
    log_e = moment_paths(stream).log_e(null_of(PLAN, 0.0), PLAN)
    over = np.flatnonzero(log_e >= -math.log(ALPHA))
    return over[0] if over.size else LOOKS


def looks_of(rng, rho, effect, skewed, runs):
    """When each run is over: without the covariate, and with it."""
    found = []
    for _ in range(runs):
        both = values(rng, rho, effect, skewed)
        plain = (Moments(side.n, side.y, side.yy) for side in (both.control, both.treatment))
        raw = first_rejection(Stream(*plain, both.epoch))
        found.append((raw, first_rejection(adjusted(both).stream)))
    return np.array(found).T


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    runs = parser.parse_args().runs
    cells = [(rho, skewed) for rho in (0.0, 0.5, 0.7) for skewed in (False, True)]
    # As with the table of error rates: one cell in a hundred tables fails by chance.
    most = binom.isf(0.01 / len(cells), runs, ALPHA) / runs
    rows = []
    for number, (rho, skewed) in enumerate(cells):
        rng = np.random.default_rng((7, number))
        _, errors = looks_of(rng, rho, 0.0, skewed, runs)
        raw, with_covariate = looks_of(rng, rho, 0.1, skewed, runs)
        ratio = np.quantile(with_covariate + 1, 0.8) / np.quantile(raw + 1, 0.8)
        share = float(np.mean(errors < LOOKS))
        rows.append(
            (
                f"{rho:g}, {'skewed' if skewed else 'normal'}",
                *target(share, most, "", at_least=False),
                *target(ratio, 1.0 - rho**2 + 0.08, "", at_least=False),
            )
        )
    print(markdown(HEADER, rows))
    print(f"\n{runs} runs of {LOOKS} looks each, on {machine()}")


if __name__ == "__main__":
    main()
