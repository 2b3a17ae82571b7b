"""What is believed of variants, against closed forms, simulation and the tests for one look."""

import numpy as np
import pytest
from scipy import stats

from abctl.stats.bayes import Beta, Normal, posteriors, summarize
from abctl.stats.estimate import Plan
from abctl.stats.methods import quantile, ratio, welch
from abctl.stats.summary import Buckets, Counts, Events, Histogram, Moments, Stream

EDGES = tuple(np.linspace(0.05, 3.0, 60))


def counts(n_a, s_a, n_b, s_b, epoch=(0,)):
    return Stream(Counts(n_a, s_a), Counts(n_b, s_b), np.array(epoch))


def test_counts_of_one_epoch_have_beta_posteriors() -> None:
    polls = counts([400, 600], [20, 30], [500, 500], [40, 30], [3, 3])
    assert posteriors([polls]) == (Beta(51, 951), Beta(71, 931))
    rng = np.random.default_rng(1)
    simulated = np.mean(rng.beta(71, 931, 400_000) > rng.beta(51, 951, 400_000))
    assert summarize(posteriors([polls])).better[1] == pytest.approx(simulated, abs=0.003)


def test_a_ramp_with_a_drift_favors_nobody() -> None:
    """4% and 6% in both variants, the treatment sees more of the 6%: totals would favor it."""
    ramp = counts([9500, 5000], [380, 300], [500, 5000], [20, 300], [0, 1])
    assert summarize(posteriors([ramp])).better[1] == pytest.approx(0.5, abs=1e-3)
    totals = counts(14_500, 680, 5_500, 320)
    assert summarize(posteriors([totals])).better[1] > 0.99


def streams():
    """A stream of each kind with the quantile and the test for one look that go with it."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(10, 2, 900), rng.normal(10.1, 3, 700)
    of_x, of_y = (Moments(v.size, v.sum(), np.square(v).sum()) for v in (x, y))
    trials = rng.poisson(20, (2, 1, 64))
    buckets = [Buckets(rng.binomial(n, p), n) for n, p in zip(trials, (0.2, 0.21), strict=True)]
    cells = [
        np.bincount(np.searchsorted(EDGES, rng.lognormal(-0.5 + d, 0.5, 4000)), minlength=61)
        for d in (0, 0.03)
    ]
    slow, slower = (Histogram([c], EDGES) for c in cells)
    return [
        (welch, Stream(of_x, of_y, [0]), None),
        (ratio, Stream(*buckets, [0]), None),
        (quantile, Stream(slow, slower, [0]), 0.9),
    ]


@pytest.mark.parametrize(("method", "stream", "level"), streams())
def test_without_prior_knowledge_it_is_one_minus_p(method, stream, level) -> None:
    """For normal estimates and a flat prior, the one-sided p is the probability to be no better."""
    better = summarize(posteriors([stream], level)).better[1]
    p = method.estimate(stream, Plan(alternative="greater", quantile=level)).p
    assert better == pytest.approx(1.0 - p, abs=0.02)
    assert 0.02 < better < 0.98, "far tails would agree anyhow"


def test_rates_are_normal() -> None:
    rates = Stream(Events(100, 50.0), Events(130, 50.0), [0])
    control, treatment = posteriors([rates])
    assert isinstance(treatment, Normal)
    assert treatment.mean - control.mean == pytest.approx(0.6)
    assert summarize([control, treatment]).better[1] == pytest.approx(
        stats.norm.cdf(0.6 / np.hypot(control.sd, treatment.sd)), abs=1e-9
    )


def test_several_treatments_of_one_control() -> None:
    """Of 19 equal treatments and one better one, the better one is the best."""
    pairs = [counts(2000, 100, 2000, 100)] * 18 + [counts(2000, 100, 2000, 160)]
    found = summarize(posteriors(pairs))
    assert len(found.best) == 20
    assert sum(found.best) == pytest.approx(1.0)
    assert found.best[-1] > 0.98
    assert np.argmin(found.loss) == 19


def test_paired_buckets_keep_the_variance_of_the_difference() -> None:
    """From the second epoch on, variants share users, so their levels are not independent."""
    rng = np.random.default_rng(3)
    level = rng.beta(2, 20, 64)
    trials = [np.full((2, 64), n) for n in (60, 40)]
    pair = [Buckets(rng.binomial(n, level), n) for n in trials]
    stream = Stream(*pair, [0, 1])
    control, treatment = posteriors([stream])
    low, high = ratio.estimate(stream, Plan()).interval
    half = stats.t.isf(0.025, 63) * np.hypot(control.sd, treatment.sd)
    assert high - low == pytest.approx(2 * half, rel=1e-6)


def test_nor_is_it_lost_where_most_of_the_control_is_shared() -> None:
    """Their covariance may be larger than the variance of one of them."""
    level = np.random.default_rng(4).beta(2, 20, 64)
    trials = np.full((2, 64), 1000.0)
    pair = [Buckets(trials * rate, trials) for rate in (level, 3.0 * level)]
    stream = Stream(*pair, [0, 1])
    control, treatment = posteriors([stream])
    low, high = ratio.estimate(stream, Plan()).interval
    half = stats.t.isf(0.025, 63) * np.hypot(control.sd, treatment.sd)
    assert high - low == pytest.approx(2 * half, rel=1e-6)


def test_rare_events_of_users_count_users() -> None:
    requests = np.full((1, 64), 50.0)
    quiet = Stream(*[Buckets(np.zeros((1, 64)), requests)] * 2, [0])
    control, treatment = posteriors([quiet])
    assert control == treatment
    assert isinstance(control, Beta)
    assert control.a == 1.0


@pytest.mark.parametrize(
    ("stream", "level"),
    [
        (counts(0, 0, 10, 1), None),
        (Stream(Moments(5, 1.0, 1.0), Moments(5, 1.0, 1.0), [0]), None),
        (Stream(Histogram([[1, 2]], (1.0,)), Histogram([[1, 2]], (1.0,)), [0]), 0.9),
        (Stream(Histogram([[100, 200]], (1.0,)), Histogram([[99, 200]], (1.0,)), [0]), 0.9),
        (Stream(Histogram([[1, 2]], (1.0,)), Histogram([[1, 2]], (1.0,)), [0]), None),
        (Stream(Buckets([[0, 0]], [[0, 0]]), Buckets([[1, 1]], [[2, 2]]), [0]), None),
    ],
)
def test_nothing_is_believed_without_data(stream, level) -> None:
    assert posteriors([stream, counts(10, 1, 10, 1)], level) is None
