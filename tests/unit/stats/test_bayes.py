"""Bayesian summaries: closed forms, mpmath, simulation, laws."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betaln

from abctl.stats import bayes
from abctl.stats.bayes import Beta, Normal
from abctl.stats.summary import SummaryError


def miller(a: Beta, b: Beta) -> float:
    """P(b > a) for whole parameters, as a sum over the parameter of b."""
    i = np.arange(b.a)
    terms = betaln(a.a + i, a.b + b.b) - np.log(b.b + i) - betaln(1 + i, b.b) - betaln(a.a, a.b)
    return float(np.exp(terms).sum())


whole = st.builds(Beta, st.integers(1, 400), st.integers(1, 4000))


@given(whole, whole)
def test_better_is_the_closed_form(a, b) -> None:
    found = bayes.summarize([a, b])
    assert found.better[1] == pytest.approx(miller(a, b), abs=1e-10)
    assert found.best == pytest.approx((1 - found.better[1], found.better[1]), abs=1e-10)


@given(whole, whole)
def test_loss_is_the_closed_form(a, b) -> None:
    """E(a - b)+ with a's density shifted by one success: means times two probabilities."""
    more_a, more_b = Beta(a.a + 1, a.b), Beta(b.a + 1, b.b)
    worse = a.mean * (1 - miller(more_a, b)) - b.mean * (1 - miller(a, more_b))
    assert bayes.summarize([a, b]).loss[1] == pytest.approx(worse, abs=1e-10)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.01, 4), st.floats(0.01, 4))
def test_two_means_are_closed_forms(m, k, s, r) -> None:
    found = bayes.summarize([Normal(m, s), Normal(k, r)])
    sd, difference = math.hypot(s, r), m - k
    assert found.better[1] == pytest.approx(stats.norm.cdf(-difference / sd), abs=1e-10)
    z = difference / sd
    loss = difference * stats.norm.cdf(z) + sd * stats.norm.pdf(z)
    assert found.loss[1] == pytest.approx(loss, abs=1e-10)


@pytest.mark.slow
def test_far_tails_keep_their_digits() -> None:
    a, b = Beta(11, 1001), Beta(81, 1001)
    with mpmath.workdps(30):
        exact = mpmath.quad(
            lambda x: (
                x ** (b.a - 1)
                * (1 - x) ** (b.b - 1)
                / mpmath.beta(b.a, b.b)
                * mpmath.betainc(a.a, a.b, x, 1, regularized=True)
            ),
            [0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 1],
        )
    assert 1e-20 < exact < 1e-9
    assert bayes.summarize([a, b]).best[0] == pytest.approx(float(exact), rel=1e-6)


def test_many_variants_against_simulation() -> None:
    posteriors = [Beta(50, 950), Beta(60, 940), Beta(58, 900), Beta(1, 30)]
    found = bayes.summarize(posteriors)
    rng = np.random.default_rng(1)
    draws = np.stack([rng.beta(p.a, p.b, 400_000) for p in posteriors])
    best = np.bincount(draws.argmax(axis=0), minlength=4) / draws.shape[1]
    assert found.best == pytest.approx(best, abs=0.003)
    assert found.loss == pytest.approx((draws.max(axis=0) - draws).mean(axis=1), rel=0.02)
    assert found.better == pytest.approx([0.5, *(draws[1:] > draws[0]).mean(axis=1)], abs=0.003)


@given(st.lists(whole, min_size=2, max_size=6), st.booleans())
def test_laws(posteriors, lower) -> None:
    found = bayes.summarize(posteriors, lower_is_better=lower)
    assert math.fsum(found.best) == pytest.approx(1, abs=1e-9)
    assert all(loss >= 0 for loss in found.loss)
    mirrored = [Beta(p.b, p.a) for p in posteriors]
    other = bayes.summarize(mirrored, lower_is_better=not lower)
    assert found.best == pytest.approx(other.best, abs=1e-9)
    assert found.loss == pytest.approx(other.loss, abs=1e-9)
    backwards = bayes.summarize(posteriors[::-1], lower_is_better=lower)
    assert found.loss == pytest.approx(backwards.loss[::-1], abs=1e-12)


def test_twenty_variants_and_posteriors_that_never_meet() -> None:
    found = bayes.summarize([Beta(1 + i, 10_001 - i) for i in range(20)])
    assert math.fsum(found.best) == pytest.approx(1)
    apart = bayes.summarize([Beta(1001, 999_001), Beta(900_001, 100_001)])
    assert apart.best == pytest.approx((0, 1), abs=1e-12)
    assert apart.loss[0] == pytest.approx(900_001 / 1_000_002 - 1001 / 1_000_002)


def test_posteriors() -> None:
    assert bayes.beta_binomial(0, 1000) == Beta(1, 1001)
    assert bayes.beta_binomial(0, 0) == Beta(1, 1)
    assert bayes.beta_binomial(3, 10, Beta(5, 95)) == Beta(8, 102)
    assert bayes.normal(2, 0.5) == Normal(2, 0.5)
    shrunk = bayes.normal(2, 0.5, Normal(0, 0.5))
    assert (shrunk.mean, shrunk.sd) == pytest.approx((1, math.sqrt(0.125)))


def test_every_answer_says_what_it_is_not_for() -> None:
    assert "not valid for stopping" in bayes.summarize([Beta(1, 1), Beta(2, 1)]).caveat


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bayes.beta_binomial(5, 4),
        lambda: bayes.beta_binomial(-1, 4),
        lambda: Beta(0.5, 1),
        lambda: Normal(0, 0),
        lambda: Normal(math.nan, 1),
        lambda: bayes.summarize([Beta(1, 1)]),
    ],
)
def test_nonsense_is_refused(wrong) -> None:
    with pytest.raises(SummaryError):
        wrong()
