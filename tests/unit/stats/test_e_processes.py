"""Exact e-processes: expectations summed over all outcomes, and the corners of the data."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan
from abctl.stats.fixed.contrast import Null
from abctl.stats.methods import histogram_sequence, proportion_sequence
from abctl.stats.methods.histogram_sequence import log_e_path as histogram_path
from abctl.stats.multiplicity import holm
from abctl.stats.sequential.linear_e import Pairs, log_e_path
from abctl.stats.summary import Counts, Histogram, Stream, SummaryError

NULLS = {
    "equal": (Null(1.0, 0.0), Plan(mde=Delta(0.3, relative=False))),
    "equal, one-sided": (Null(1.0, 0.0), Plan(mde=Delta(0.5, True), alternative="greater")),
    "equal, bold": (Null(1.0, 0.0), Plan(mde=Delta(5.0, relative=True))),
    "margin": (Null(1.0, 0.2), Plan(null=Delta(0.2, False), alternative="less")),
    "negative margin": (Null(1.0, -0.1), Plan(null=Delta(-0.1, relative=False))),
    "relative margin": (Null(0.7, 0.0), Plan(null=Delta(-0.3, relative=True))),
}
each_null = pytest.mark.parametrize("case", NULLS)


def stream(n_a, s_a, n_b, s_b, epoch=None):
    n_a = np.asarray(n_a)
    return Stream(Counts(n_a, s_a), Counts(n_b, s_b), n_a * 0 if epoch is None else epoch)


def expected(null, plan, past, n, p):
    """The expectation of the next factor, over all outcomes of a poll of `n` with rates `p`."""
    (n_a, n_b), laws = n, [stats.binom(size, rate) for size, rate in zip(n, p, strict=True)]
    total = 0.0
    for outcome in itertools.product(range(n_a + 1), range(n_b + 1)):
        s_a, s_b = (past[1], outcome[0]), (past[3], outcome[1])
        fields = ((past[0], n_a), s_a, (past[2], n_b), s_b)
        before, after = log_e_path(Pairs(*(np.array(f, float) for f in fields)), null, plan)
        total += math.prod(law.pmf(s) for law, s in zip(laws, outcome, strict=True)) * math.exp(
            after - before
        )
    return total


@pytest.mark.slow
@each_null
@pytest.mark.parametrize("rate", [0.15, 0.5, 0.79])
@pytest.mark.parametrize("past", [(4, 0, 3, 0), (9, 5, 20, 11), (0, 0, 5, 5)])
def test_the_next_e_value_is_not_expected_to_be_larger(case, rate, past) -> None:
    null, plan = NULLS[case]
    total = expected(null, plan, past, (7, 4), (rate, null.ratio * rate + null.offset))
    assert total <= 1.0 + 1e-9


@pytest.mark.parametrize("case", ["equal, one-sided", "margin"])
def test_nor_on_the_far_side_of_a_one_sided_null(case) -> None:
    null, plan = NULLS[case]
    further = 0.05 if plan.alternative == "less" else -0.05
    at = expected(null, plan, (9, 5, 20, 11), (7, 4), (0.5, 0.5 + null.offset))
    beyond = expected(null, plan, (9, 5, 20, 11), (7, 4), (0.5, 0.5 + null.offset + further))
    assert beyond < at


@each_null
def test_it_is_expected_to_grow_under_the_alternative(case) -> None:
    null, plan = NULLS[case]
    effect = -0.3 if plan.alternative == "less" else 0.3
    rates = 0.4, 0.4 * null.ratio + null.offset + effect
    assert expected(null, plan, (90, 50, 90, 50), (7, 7), rates) > 1.0


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_the_first_poll_is_the_noncentral_hypergeometric_ratio(alternative) -> None:
    plan = Plan(mde=Delta(0.1, False), alternative=alternative, prior="two-point")
    n_a, s_a, n_b, s_b = 30, 9, 20, 11
    found = log_e_path(
        Pairs(*(np.array([float(x)]) for x in (n_a, s_a, n_b, s_b))), Null(1.0, 0.0), plan
    )
    ratios = []
    for sign in (1.0, -1.0) if alternative == "two-sided" else (1.0,):
        a, b = 0.4 - sign * 0.1 * 20 / 50, 0.4 + sign * 0.1 * 30 / 50
        odds = b / (1 - b) / (a / (1 - a))
        law = stats.nchypergeom_fisher(50, 20, 20, odds)
        ratios.append(law.pmf(s_b) / stats.hypergeom(50, 20, 20).pmf(s_b))
    assert found[0] == pytest.approx(math.log(np.mean(ratios)))


def test_a_later_poll_is_the_likelihood_ratio_of_the_paper() -> None:
    """Rates around the pooled past, weighted so that their mean is that past."""
    past = (100.0, 20.0, 60.0, 19.0)
    now = (30.0, 8.0, 70.0, 30.0)
    pairs = Pairs(*(np.array(pair) for pair in zip(past, now, strict=True)))
    plan = Plan(mde=Delta(0.1, False), alternative="greater", prior="two-point")
    before, after = log_e_path(pairs, Null(1.0, 0.0), plan)
    base = 39.5 / 161.0
    a, b = base - 0.7 * 0.1, base + 0.3 * 0.1
    law = stats.binom
    wanted = law.logpmf(8, 30, a) + law.logpmf(30, 70, b)
    wanted -= law.logpmf(8, 30, base) + law.logpmf(30, 70, base)
    assert after - before == pytest.approx(wanted)


@pytest.mark.parametrize(("n_a", "n_b"), [(0, 50), (50, 0), (0, 0)])
def test_a_poll_without_one_variant_changes_nothing(n_a, n_b) -> None:
    a, b = [[100.0, n_a, 90.0], [10.0, n_a // 2, 9.0]], [[80.0, n_b, 90.0], [3.0, n_b // 2, 5.0]]
    with_gap = Pairs(*np.array(a + b))
    for null, plan in NULLS.values():
        path = log_e_path(with_gap, null, plan)
        assert path[1] == path[0]
    gap = np.array([[5, 9], [n_a, 0], [8, 4]])
    other = np.array([[6, 3], [n_b, 0], [1, 9]])
    path, _ = histogram_path(Histogram(gap, (1.0,)), Histogram(other, (1.0,)), Plan())
    assert path[1] == path[0]


def test_one_request_is_a_poll() -> None:
    found = proportion_sequence.estimate(stream([1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1]), Plan())
    assert isinstance(found, Estimate)
    assert found.p > 0.5


@pytest.mark.parametrize("successes", [0, 1])
def test_no_or_only_successes_prove_nothing(successes) -> None:
    n = np.full(50, 100)
    found = proportion_sequence.estimate(stream(n, n * successes, n, n * successes), Plan())
    assert found.p > 0.9
    low, high = found.interval
    assert low == pytest.approx(-high)
    assert 3.0 / n.sum() < high < 10.0 / n.sum(), "0 of n bounds a rate, as the rule of three does"


def test_no_events_against_some_is_proof() -> None:
    """0 of 10,000 against 40: the exact test decides before there could be an interval."""
    n = np.full(20, 500)
    plan = Plan(mde=Delta(0.004, relative=False))
    found = proportion_sequence.estimate(stream(n, n * 0, n, n // 250), plan)
    assert found.rejects
    assert found.lift is None
    assert found.interval[0] > 0.0


def test_effects_beyond_floating_point() -> None:
    n = np.full(100, 10_000)
    found = proportion_sequence.estimate(stream(n, n // 100, n, n * 99 // 100), Plan())
    assert found.p == 0.0
    assert -1e7 < found.log_p < -800.0
    assert found.log_e == pytest.approx(-found.log_p)


def test_counters_that_disagree_are_refused() -> None:
    with pytest.raises(SummaryError, match="more successes"):
        stream([10], [11], [10], [1])


def test_nothing_in_common_is_not_estimable() -> None:
    found = proportion_sequence.estimate(stream([10, 0], [1, 0], [0, 10], [0, 1], [0, 1]), Plan())
    assert isinstance(found, NotEstimable)


def test_ten_thousand_polls() -> None:
    rng = np.random.default_rng(1)
    n = np.full(10_000, 100)
    found = proportion_sequence.estimate(
        stream(n, rng.binomial(n, 0.05), n, rng.binomial(n, 0.055)),
        Plan(mde=Delta(0.005, relative=False)),
    )
    assert found.rejects
    assert found.n == (1e6, 1e6)
    assert found.interval[0] < 0.005 < found.interval[1]


def test_twenty_treatments_without_an_effect() -> None:
    rng = np.random.default_rng(4)
    n = np.full(100, 200)
    control = Counts(n, rng.binomial(n, 0.1))
    found = [
        proportion_sequence.estimate(
            Stream(control, Counts(n, rng.binomial(n, 0.1)), n * 0), Plan()
        )
        for _ in range(20)
    ]
    assert not any(holm([each.p for each in found]) <= 0.05)


@pytest.mark.parametrize("field", ["alpha", "quantile"])
@pytest.mark.parametrize("value", [0.0, 1.0, 5.0, math.nan])
def test_a_plan_with_an_impossible_share_is_refused(field, value) -> None:
    with pytest.raises(ValueError, match=field):
        Plan(**{field: value})


def test_looking_more_rarely_is_another_valid_test() -> None:
    rng = np.random.default_rng(2)
    n = np.full(400, 50)
    whole = stream(n, rng.binomial(n, 0.1), n, rng.binomial(n, 0.15))
    rare = Stream(
        whole.control.merge(np.arange(0, 400, 40)),
        whole.treatment.merge(np.arange(0, 400, 40)),
        np.zeros(10),
    )
    plan = Plan(mde=Delta(0.05, relative=False))
    often, rarely = (proportion_sequence.estimate(s, plan) for s in (whole, rare))
    assert often.log_e == pytest.approx(rarely.log_e, rel=0.2)


@pytest.mark.slow
def test_multinomial_expectation_is_at_most_one() -> None:
    """Three cells, all outcomes of the second poll."""
    cells, past = np.array([0.5, 0.3, 0.2]), np.array([[6.0, 5.0, 2.0]])
    outcomes = [k for k in itertools.product(range(5), repeat=3) if sum(k) == 4]
    law = stats.multinomial(4, cells)
    for plan in (Plan(mde=Delta(0.5, relative=True)), Plan(alternative="greater")):
        total = 0.0
        for a, b in itertools.product(outcomes, outcomes):
            sides = [Histogram(np.vstack((past, [now])), (1.0, 2.0)) for now in (a, b)]
            path, _ = histogram_path(*sides, plan)
            total += law.pmf(a) * law.pmf(b) * math.exp(path[1] - path[0])
        assert 0.9 < total <= 1.0 + 1e-9


def test_two_cells_are_two_proportions() -> None:
    """The same evidence: proportional odds on one edge is a change of one proportion."""
    rng = np.random.default_rng(3)
    n = np.full(200, 200)
    above_a, above_b = rng.binomial(n, 0.2), rng.binomial(n, 0.25)
    sides = [Histogram(np.stack((n - s, s), axis=1), (0.1,)) for s in (above_a, above_b)]
    by_cells = histogram_sequence.estimate(Stream(*sides, n * 0), Plan(prior="two-point"))
    # 0.2 in log odds is about 0.2 * 0.22 * 0.78 in the proportion.
    plan = Plan(mde=Delta(0.2 * 0.225 * 0.775, relative=False), prior="two-point")
    by_counts = proportion_sequence.estimate(stream(n, above_a, n, above_b), plan)
    assert by_cells.log_e == pytest.approx(by_counts.log_e, rel=0.03)


@each_null
def test_a_first_poll_that_cannot_be_bet_on_counts_as_nothing(case) -> None:
    """Users are no whole numbers: without a past, no point of the null is known for them."""
    null, plan = NULLS[case]
    users = Pairs(*(np.array([each]) for each in (60.5, 3.2, 58.1, 21.7)))
    assert log_e_path(users, null, plan) == pytest.approx(0.0, abs=1e-12)
    requests = Pairs(*(np.array([each]) for each in (60.0, 3.0, 58.0, 21.0)))
    assert abs(log_e_path(requests, null, plan)[0]) > 1e-3
