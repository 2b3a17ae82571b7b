"""Sample ratio of users by their requests: worlds with returning and heavy users, seeded."""

import math

import numpy as np
import pytest

from abctl.stats import srm
from abctl.stats.estimate import NotEstimable
from abctl.stats.summary import SummaryError

BUCKETS = 32


def world(rng, users: int, ramp, sigma: float, real=None) -> tuple[np.ndarray, np.ndarray]:
    """Requests of users who come back in every epoch of a ramp; `sigma` makes some heavy."""
    ramp, real = np.array(ramp), np.array(ramp if real is None else real)
    bucket, point = rng.integers(0, BUCKETS, users), rng.random(users)
    rate = rng.lognormal(1, sigma, users)
    counts = np.zeros((ramp.size, 2, BUCKETS))
    for epoch, share in enumerate(real):
        np.add.at(counts[epoch], ((point < share).astype(int), bucket), rng.poisson(rate))
    return counts, np.c_[1 - ramp, ramp]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("users", "ramp", "sigma"),
    [(300, [0.5], 1.0), (1500, [0.05], 1.0), (800, [0.05, 0.2, 0.5], 1.5), (600, [0.9], 1.0)],
)
def test_a_correct_split_is_seldom_accused(users: int, ramp, sigma: float) -> None:
    rng, runs = np.random.default_rng(11), 400
    tables = [world(rng, users, ramp, sigma) for _ in range(runs)]
    found = [srm.clustered(*table, alpha=0.05) for table in tables]
    found = [f for f in found if isinstance(f, srm.SrmResult)]
    assert len(found) > 0.9 * runs
    alarms = np.mean([f.mismatch for f in found])
    assert 0.01 <= alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert not [f for f in found if f.p < 1e-4]
    naive = np.mean([srm.fixed(c.sum(axis=2), s, 0.05).mismatch for c, s in tables])
    assert naive > 0.3, "requests of users are no multinomial: what this check is for"


@pytest.mark.slow
def test_looking_often_accuses_no_more() -> None:
    rng, accused = np.random.default_rng(12), 0
    for _ in range(100):
        counts, shares = world(rng, 500, [0.3] * 10, 1.0)
        looks = [
            srm.clustered(counts[:t].sum(axis=0)[None], shares[:1], 0.05, sequential=True)
            for t in range(1, 11)
        ]
        accused += any(look.mismatch for look in looks)
    assert accused <= 100 * 0.05


@pytest.mark.parametrize("sequential", [False, True])
def test_a_broken_hash_is_found(sequential: bool) -> None:
    rng = np.random.default_rng(13)
    for _ in range(10):
        counts, shares = world(rng, 6000, [0.1, 0.2], 0.8, real=[0.0556, 0.125])
        assert srm.clustered(counts, shares, sequential=sequential).mismatch


def test_the_variance_is_that_of_the_users() -> None:
    """With the requests of every user known, the standard error has a closed form."""
    rng = np.random.default_rng(14)
    users, buckets, p = 40_000, 4000, 0.5
    requests = rng.poisson(rng.lognormal(0, 1, users))
    treated, bucket = rng.random(users) < p, rng.integers(0, buckets, users)
    counts = np.zeros((1, 2, buckets))
    np.add.at(counts[0], (treated.astype(int), bucket), requests)
    t = srm.clustered(counts, [[p, 1 - p]]).statistic
    deviation = requests[treated].sum() - p * requests.sum()
    exact = abs(deviation) / math.sqrt(p * (1 - p) * np.sum(requests**2.0))
    assert t == pytest.approx(exact, rel=0.08)


def test_names_of_the_variants_do_not_matter() -> None:
    counts, shares = world(np.random.default_rng(15), 900, [0.1, 0.3], 1.0)
    found = [srm.clustered(c, s) for c, s in ((counts, shares), (counts[:, ::-1], shares[:, ::-1]))]
    assert found[0].p == pytest.approx(found[1].p)


def test_a_variant_without_a_share_is_left_out_and_may_have_no_traffic() -> None:
    counts, shares = world(np.random.default_rng(16), 900, [0.5], 0.5)
    empty = np.zeros((1, 1, BUCKETS))
    with_empty = srm.clustered(np.append(counts, empty, axis=1), np.c_[shares, 0])
    assert with_empty.p == pytest.approx(srm.clustered(counts, shares).p)
    empty[0, 0, 0] = 1
    found = srm.clustered(np.append(counts, empty, axis=1), np.c_[shares, 0])
    assert found.mismatch
    assert "variant 2" in found.reason


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        (np.zeros((1, 2, 16)), "noTraffic"),
        (np.ones((1, 2, 4)), "tooFewBuckets"),
        (np.eye(16)[:1] * np.array([[[1000], [1000]]]), "tooFewEffectiveUsers"),
    ],
)
def test_too_little_is_said(counts, code: str) -> None:
    found = srm.clustered(counts, [[0.5, 0.5]])
    assert isinstance(found, NotEstimable)
    assert found.why.code == code


@pytest.mark.parametrize(
    "counts", [np.ones((2, 16)), -np.ones((1, 2, 16)), np.full((1, 2, 16), 0.5)]
)
def test_broken_data_are_refused(counts) -> None:
    with pytest.raises(SummaryError):
        srm.clustered(counts, [[0.5, 0.5]])
