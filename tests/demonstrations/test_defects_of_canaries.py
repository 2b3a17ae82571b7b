"""Rules by which canaries are judged elsewhere, on data in which nothing is different.

The data are drawn here; the rule of the others goes wrong on them, that of abctl does not.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from abctl.core.assignment import by_salted_hash
from abctl.core.experiment import Assignment
from abctl.core.split import Split
from abctl.stats.estimate import Delta, Estimate, Plan
from abctl.stats.methods import proportion_sequence
from abctl.stats.summary import Counts, Stream

SCRAPES, RUNS = 240, 120  # an hour, every 15 seconds
REQUESTS, RATE = 60, 0.05
ALPHA = 0.05

Numbers = NDArray[np.float64]


def same_twice(rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Requests and failures between two scrapes, in two variants that are the same."""
    n = rng.poisson(REQUESTS, (2, SCRAPES))
    return n.astype(float), rng.binomial(n, RATE).astype(float)


def windows(each: Numbers, scrapes: int) -> Numbers:
    """Sums over the last `scrapes` scrapes, at every scrape: what `rate(x[5m])` shows."""
    return np.array([np.convolve(row, np.ones(scrapes), "valid") for row in each])


def rejected_by_points(n: Numbers, failed: Numbers) -> bool:
    """Mann-Whitney on the points of a graph, as if each were news."""
    control, treatment = windows(failed, 20) / windows(n, 20)
    return bool(stats.mannwhitneyu(control, treatment).pvalue < ALPHA)


def rejected_by_looks(n: Numbers, failed: Numbers) -> bool:
    """Six looks at what is new since the last one; any of them may stop the canary."""
    parts = np.split(failed / n, 6, axis=1)
    return any(stats.mannwhitneyu(*part).pvalue < ALPHA for part in parts)


def rejected_by_abctl(n: Numbers, failed: Numbers) -> bool:
    """Every poll a look, over as many polls as there are scrapes."""
    stream = Stream(
        Counts(n[0], failed[0]), Counts(n[1], failed[1]), np.zeros(SCRAPES, dtype=np.int64)
    )
    found = proportion_sequence.estimate(stream, Plan(alpha=ALPHA, mde=Delta(0.01, relative=False)))
    assert isinstance(found, Estimate)
    return found.rejects


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "least", "most"),
    [
        (rejected_by_points, 0.5, 0.85),
        (rejected_by_looks, 0.12, 0.40),
        (rejected_by_abctl, 0.0, ALPHA),
    ],
    ids=["points of overlapping windows", "six looks", "abctl, 240 looks"],
)
def test_how_often_a_rule_finds_a_difference_that_is_none(
    rule: Callable[[Numbers, Numbers], bool], least: float, most: float
) -> None:
    rng = np.random.default_rng(5)
    found = np.mean([rule(*same_twice(rng)) for _ in range(RUNS)])
    assert least <= found <= most


def test_users_stay_where_they_are_however_often_they_come() -> None:
    """A cookie of the canary alone is a ratchet: whoever was there once stays, others follow."""
    rng, users, share = np.random.default_rng(2), 4_000, 0.1
    there = np.zeros(users, dtype=bool)
    for _ in range(20):
        there |= rng.random(users) < share
    assert there.mean() == pytest.approx(1 - 0.9**20, abs=0.03)  # 88%, of the 10% configured

    rules = Assignment("user", "x-user-id", "salt-1")
    split = Split(("control", "treatment"), (9_000, 1_000))
    first, last = (
        [by_salted_hash(rules, split, f"u{i}").variant for i in range(users)] for _ in range(2)
    )
    assert first == last
    assert first.count("treatment") / users == pytest.approx(share, abs=0.02)
