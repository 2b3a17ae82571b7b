"""Sample ratio: oracles from scipy, laws, and error rates by seeded simulation."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from abctl.stats import srm
from abctl.stats.estimate import NotEstimable
from abctl.stats.summary import SummaryError

CHECKS = [srm.fixed, srm.sequential]


def test_one_epoch_is_pearson() -> None:
    found = srm.fixed([[5300, 3200, 1500]], [[0.5, 0.35, 0.15]])
    oracle = stats.chisquare([5300, 3200, 1500], [5000, 3500, 1500])
    assert found.statistic == pytest.approx(oracle.statistic)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.df == (2,)
    assert found.mismatch
    assert "variant 0 got 5,300 of 10,000 (53.00%), expected 5,000" in found.reason


def test_epochs_are_expected_each_at_its_own_share() -> None:
    counts = np.array([[9500, 500], [8000, 2000], [5000, 5000]])
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert srm.fixed(counts, shares).p == pytest.approx(1)
    assert srm.sequential(counts, shares).p == 1
    average = np.full_like(shares, [0.75, 0.25])
    assert srm.sequential(counts, average).mismatch, "a ramp is no constant split"


def test_two_variants_by_hand() -> None:
    n, p = np.array([1000, 3000]), np.array([0.1, 0.5])
    treated = np.array([130, 1560])
    z = (treated - n * p).sum() / math.sqrt((n * p * (1 - p)).sum())
    found = srm.fixed(np.c_[n - treated, treated], np.c_[1 - p, p])
    assert found.statistic == pytest.approx(z**2)
    assert found.log_p == pytest.approx(math.log(2) + stats.norm.logsf(z))


def test_a_variant_without_a_share_is_left_out() -> None:
    two = srm.fixed([[5200, 4800]], [[0.5, 0.5]])
    three = srm.fixed([[5200, 0, 4800]], [[0.5, 0, 0.5]])
    assert (three.p, three.df) == (pytest.approx(two.p), two.df)
    sequential = [
        srm.sequential(*a).log_p
        for a in (([[5200, 4800]], [[0.5, 0.5]]), ([[5200, 0, 4800]], [[0.5, 0, 0.5]]))
    ]
    assert sequential[0] == pytest.approx(sequential[1])


@pytest.mark.parametrize("check", CHECKS)
def test_traffic_without_a_share_is_a_mismatch(check) -> None:
    found = check([[500, 1, 500], [500, 250, 250]], [[0.5, 0, 0.5], [0.5, 0.25, 0.25]])
    assert found.mismatch
    assert "variant 1 had a share of 0 and got 1" in found.reason


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("counts", "shares", "code"),
    [
        ([[0, 0]], [[0.5, 0.5]], "noTraffic"),
        ([[70, 0]], [[1, 0]], "oneVariantOnly"),
        ([[70, 0], [0, 0]], [[1, 0], [0.5, 0.5]], "oneVariantOnly"),
    ],
)
def test_nothing_to_check(check, counts, shares, code: str) -> None:
    found = check(counts, shares)
    assert isinstance(found, NotEstimable)
    assert found.why.code == code


def test_too_little_for_chi_squared_is_enough_for_the_exact_check() -> None:
    assert isinstance(srm.fixed([[20, 1]], [[0.9, 0.1]]), NotEstimable)
    assert not srm.sequential([[20, 1]], [[0.9, 0.1]]).mismatch


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ([[-1, 5]], [[0.5, 0.5]]),
        ([[1.5, 5]], [[0.5, 0.5]]),
        ([[math.nan, 5]], [[0.5, 0.5]]),
        ([[1, 5]], [[0.5, 0.6]]),
        ([[1, 5]], [[1.5, -0.5]]),
        ([[1, 5, 3]], [[0.5, 0.5]]),
    ],
)
def test_broken_data_are_refused(check, counts, shares) -> None:
    with pytest.raises(SummaryError):
        check(counts, shares)


def test_p_stays_finite_in_logarithms() -> None:
    found = srm.fixed([[10**8, 10**7]], [[0.5, 0.5]])
    assert found.p == 0
    x = mpmath.mpf(found.statistic)
    oracle = mpmath.log(mpmath.gammainc(mpmath.mpf(1) / 2, x / 2, regularized=True))
    assert found.log_p == pytest.approx(float(oracle))
    assert -math.inf < srm.sequential([[10**8, 10**7]], [[0.5, 0.5]]).log_p < -1e6


def test_bayes_factor_is_the_dirichlet_multinomial() -> None:
    share = np.array([0.7, 0.2, 0.1])
    counts = np.array([[60, 30, 10], [5, 0, 0]])
    found = srm.sequential(counts, [share, share])
    last, total = counts.sum(axis=0), int(counts.sum())
    oracle = stats.dirichlet_multinomial(100 * share, total).logpmf(last)
    oracle -= stats.multinomial(total, share).logpmf(last)
    assert found.statistic == pytest.approx(oracle)


def test_each_epoch_has_a_factor_of_its_own_and_p_keeps_the_best() -> None:
    first, second = ([[300, 100]], [[0.9, 0.1]]), ([[500, 500]], [[0.5, 0.5]])
    alone = [srm.sequential(*epoch).statistic for epoch in (first, second)]
    both = srm.sequential(first[0] + second[0], first[1] + second[1])
    assert both.statistic == pytest.approx(sum(alone))
    assert alone[1] < 0
    assert both.log_p == pytest.approx(-alone[0])


def test_polls_of_an_epoch_add_up() -> None:
    rng = np.random.default_rng(5)
    polls = rng.multinomial(40, [0.8, 0.15, 0.05], size=50)
    shares = np.tile([0.8, 0.15, 0.05], (50, 1))
    merged = [polls.sum(axis=0)]
    assert srm.fixed(polls, shares).p == pytest.approx(srm.fixed(merged, shares[:1]).p)
    found, oracle = (srm.sequential(polls, shares), srm.sequential(merged, shares[:1]))
    assert found.statistic == pytest.approx(oracle.statistic)


@pytest.mark.slow
def test_error_rates_hold_and_a_broken_hash_is_found() -> None:
    """The bias is that of a score "weight times hash": 5.6% where 10% was ordered."""
    rng = np.random.default_rng(7)
    ordered = np.repeat([0.1, 0.25, 0.5], 20)
    shares = np.c_[1 - ordered, ordered]
    runs, per_poll = 2000, 30

    def alarms(real: np.ndarray) -> tuple[float, float, float]:
        treated = rng.binomial(per_poll, real, size=(runs, real.size))
        tables = np.stack([per_poll - treated, treated], axis=2)
        looks = np.mean([srm.sequential(t, shares, 0.05).mismatch for t in tables])
        return looks, *(
            np.mean([srm.fixed(t, shares, a).mismatch for t in tables]) for a in (0.05, 0.001)
        )

    always, once, once_strict = alarms(ordered)
    assert always <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert once == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / runs))
    assert once_strict <= 0.004

    broken, n = np.where(ordered < 0.5, ordered / (1 - ordered) / 2, 0.5), 50
    for treated in rng.binomial(n, broken, size=(20, broken.size)):
        assert srm.sequential(np.c_[n - treated, treated], shares).mismatch
        assert srm.fixed(np.c_[n - treated, treated], shares).mismatch


DIFFER = {
    "one is short": lambda variants: 1.0 - 0.1 * (np.arange(variants) == 0),
    "all a little": lambda variants: 1.0 + 0.02 * np.where(np.arange(variants) % 2, 1.0, -1.0),
    "all evenly": lambda variants: 1.0 + 0.1 * np.linspace(-1.0, 1.0, variants),
}


@pytest.mark.slow
@pytest.mark.parametrize("variants", [6, 20, 40])
@pytest.mark.parametrize("differ", DIFFER.values(), ids=DIFFER)
def test_of_many_variants_it_takes_at_most_thrice_the_fixed_test(variants, differ) -> None:
    shares = np.full((1, variants), 1.0 / variants)
    real = differ(variants) / variants
    real /= real.sum()
    # As much by chance as is usual: each variant adds 1 to the statistic, less one for all.
    extra = variants - 1.0

    def units(check):
        """Units a variant from which on such counts are a mismatch."""
        for n in np.unique(np.rint(np.geomspace(100, 1_000_000, 300))) * variants:
            beside = n * (real - shares[0])
            grown = math.sqrt(1.0 + extra / np.sum(beside**2 / (n * shares[0])))
            if check(np.rint(n * shares[0] + grown * beside)[None, :], shares).mismatch:
                return n
        return math.inf

    assert units(srm.sequential) <= 3.0 * units(srm.fixed)


@pytest.mark.slow
def test_many_variants_keep_the_level() -> None:
    rng = np.random.default_rng(8)
    shares = np.full((200, 20), 0.05)
    wrong = sum(
        srm.sequential(rng.multinomial(500, shares[0], 200), shares, alpha=0.05).mismatch
        for _ in range(100)
    )
    assert wrong <= 10
