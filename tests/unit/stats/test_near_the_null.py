"""Effects far from the planned one are found in the end, and intervals are not stretched for it."""

import numpy as np
import pytest

from abctl.stats.estimate import Delta, Plan
from abctl.stats.methods import (
    histogram_sequence,
    proportion_sequence,
    rate_sequence,
    share_above_sequence,
)
from abctl.stats.summary import Counts, Events, Histogram, Stream

EDGES = (1.0, 2.0, 3.0)


def counts(n, p):
    return Counts(n, np.rint(n * p))


def events(n, p):
    return Events(np.rint(n * p), n)


def shares(n, p):
    """A share p of values in the upper cells."""
    rest, top = np.rint(n * (1 - p)), np.rint(n * p)
    half, third = np.floor(rest / 2), np.floor(top / 3)
    return Histogram(np.stack((half, rest - half, third, top - third), axis=1), EDGES)


KINDS = {
    "proportion": (proportion_sequence, counts, Plan()),
    "rate": (rate_sequence, events, Plan()),
    "histogram": (histogram_sequence, shares, Plan()),
    "share above": (share_above_sequence, shares, Plan(threshold=2.0)),
}
MDE = Delta(0.1, relative=False)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("share_of_mde", [1 / 4, 1 / 10, 1 / 50])
@pytest.mark.parametrize("polls", [1, 50])
def test_p_goes_to_zero_for_every_effect(kind, share_of_mde, polls) -> None:
    method, make, plan = kind
    plan = Plan(threshold=plan.threshold, mde=None if method is histogram_sequence else MDE)
    ps = []
    for total in (1e5, 1e7, 1e9):
        n = np.full(polls, np.floor(total / polls))
        effect = 0.1 * share_of_mde
        stream = Stream(make(n, 0.3), make(n, 0.3 + effect), n * 0)
        found = method.estimate(stream, plan)
        ps.append(found.log_p)
        assert (found.interval[0] > 0.0) == found.rejects
    assert ps[0] >= ps[1] >= ps[2]
    assert ps[2] < -50.0
    # By that size the fixed test has z of over 15: the interval is where it says, not at zero.
    assert found.interval[0] > 0.5 * found.effect


@pytest.mark.parametrize(
    ("a", "b", "alternative", "n"),
    [(0.01, 0.016, "greater", 1e6), (0.01, 0.014, "less", 1e7)],
)
def test_a_little_beside_the_margin(a, b, alternative, n) -> None:
    margin = Delta(0.005, relative=False)
    plan = Plan(alternative=alternative, null=margin, mde=margin)
    size = np.full(100, n / 100)
    found = proportion_sequence.estimate(Stream(counts(size, a), counts(size, b), size * 0), plan)
    assert found.p < 1e-3


def test_without_an_mde_a_point_of_93_is_found() -> None:
    size = np.full(100, 1e4)
    stream = Stream(counts(size, 0.93), counts(size, 0.92), size * 0)
    assert proportion_sequence.estimate(stream, Plan()).log_p < -100.0


def test_a_total_failure_is_found_whatever_was_planned() -> None:
    """The planned effect is a hundredth of it."""
    size = np.full(20, 50.0)
    stream = Stream(counts(size, 0.02), counts(size, 1.0), size * 0)
    margin = Delta(0.005, relative=False)
    plan = Plan(alternative="greater", null=margin, mde=margin)
    assert proportion_sequence.estimate(stream.only([0]), plan).log_p < -100.0
