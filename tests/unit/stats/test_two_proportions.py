"""Fixed tests of two proportions against statsmodels, scipy and brute force."""

import itertools
import math
import warnings

import mpmath
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from abctl.stats.estimate import Delta, NotEstimable, Plan, Remark
from abctl.stats.fixed.score import proportion_at_difference, proportion_at_ratio
from abctl.stats.methods import barnard, boschloo, chi_squared, fisher, newcombe, proportion
from abctl.stats.summary import Counts, Stream

TABLES = [(1000, 50, 1100, 80), (1000, 0, 1000, 12), (20, 3, 25, 9), (10, 0, 10, 10), (7, 7, 9, 2)]
ALTERNATIVES = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}
each_table = pytest.mark.parametrize("table", TABLES, ids=str)
each_alternative = pytest.mark.parametrize("alternative", ALTERNATIVES)


def stream(n_a, s_a, n_b, s_b):
    return Stream(Counts(n_a, s_a), Counts(n_b, s_b), np.arange(np.size(n_a)))


def square(table):
    n_a, s_a, n_b, s_b = table
    return [[s_b, s_a], [n_b - s_b, n_a - s_a]]


@each_table
@each_alternative
def test_one_epoch_is_the_pooled_z_test(table, alternative) -> None:
    n_a, s_a, n_b, s_b = table
    found = proportion.estimate(stream(*table), Plan(alternative=alternative))
    side = ALTERNATIVES[alternative]
    assert found.p == pytest.approx(proportions_ztest([s_b, s_a], [n_b, n_a], alternative=side)[1])
    assert found.effect == pytest.approx(s_b / n_b - s_a / n_a)


def test_epochs_are_cochran_mantel_haenszel() -> None:
    found = proportion.estimate(stream([900, 400], [50, 90], [50, 410], [4, 120]), Plan())
    tables = [np.array([[4, 46], [50, 850]]), np.array([[120, 290], [90, 310]])]
    assert found.p == pytest.approx(StratifiedTable(tables).test_null_odds().pvalue)
    weights = np.array([900 * 50 / 950, 400 * 410 / 810])
    differences = np.array([4 / 50 - 50 / 900, 120 / 410 - 90 / 400])
    assert found.effect == pytest.approx(np.average(differences, weights=weights))


def test_a_ramp_with_a_drift_is_no_effect() -> None:
    """Simpson's paradox: 4% and 6% in both variants, the treatment sees more of the 6%."""
    found = proportion.estimate(stream([9500, 5000], [380, 300], [500, 5000], [20, 300]), Plan())
    assert found.effect == pytest.approx(0.0, abs=1e-12)
    assert found.p == pytest.approx(1.0)


@pytest.mark.parametrize("difference", [-0.3, -0.01, 0.0, 0.02, 0.5])
@pytest.mark.parametrize("table", [*TABLES, (10**6, 30, 10**6, 50)], ids=str)
def test_restricted_proportions_are_the_likeliest(table, difference) -> None:
    cells = [np.array([float(cell)]) for cell in table]
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)

    def minus_log_likelihood(x):
        n_a, s_a, n_b, s_b = table
        pairs = ((n_a, s_a, x), (n_b, s_b, x + difference))
        return -sum(stats.binom.logpmf(s, n, min(max(p, 0.0), 1.0)) for n, s, p in pairs)

    bounds = (low, min(high, low + 0.01) if table[0] == 10**6 else high)
    best = minimize_scalar(minus_log_likelihood, bounds=bounds, options={"xatol": 1e-12})
    found = proportion_at_difference(*cells, np.array([[difference]]))[0, 0]
    assert minus_log_likelihood(found) <= best.fun + 1e-6


@pytest.mark.parametrize("ratio", [0.2, 0.9, 1.0, 1.5])
@each_table
def test_restricted_ratios_are_the_likeliest(table, ratio) -> None:
    n_a, s_a, n_b, s_b = table
    cells = [np.array([float(cell)]) for cell in table]

    def minus_log_likelihood(x):
        return -stats.binom.logpmf(s_a, n_a, x) - stats.binom.logpmf(s_b, n_b, min(ratio * x, 1.0))

    bounds = (0.0, min(1.0, 1.0 / ratio))
    best = minimize_scalar(minus_log_likelihood, bounds=bounds, options={"xatol": 1e-12})
    found = proportion_at_ratio(*cells, np.array([[ratio]]))[0, 0]
    assert minus_log_likelihood(found) <= best.fun + 1e-6


@pytest.mark.parametrize("table", TABLES[:3], ids=str)
def test_lifts_are_the_score_interval_of_the_ratio(table) -> None:
    n_a, s_a, n_b, s_b = table
    found = proportion.estimate(stream(*table), Plan())
    if s_a == 0:
        assert found.lift is None
        assert found.lift_interval is None
        return
    options = {"method": "score", "compare": "ratio", "correction": False}
    low, high = confint_proportions_2indep(s_b, n_b, s_a, n_a, **options)
    assert found.lift_interval == pytest.approx((low - 1.0, high - 1.0), rel=1e-6)


@pytest.mark.parametrize("table", [(1000, 50, 1100, 80), (300, 60, 280, 90)], ids=str)
def test_chi_squared_with_and_without_yates(table) -> None:
    found = chi_squared.estimate(stream(*table), Plan())
    plain = stats.chi2_contingency(square(table), correction=False)
    yates = stats.chi2_contingency(square(table))
    assert found.p == pytest.approx(plain.pvalue)
    (note,) = found.notes
    facts = {"expected_count": plain.expected_freq.min(), "yates_p": yates.pvalue}
    assert (note.code, note.facts) == ("chiSquared", pytest.approx(facts))


def test_chi_squared_leaves_small_tables_to_fisher() -> None:
    found = chi_squared.estimate(stream(20, 3, 25, 4), Plan())
    assert isinstance(found, NotEstimable)
    assert found.why.code == "tooFewExpected"


@each_table
@each_alternative
def test_fisher(table, alternative) -> None:
    found = fisher.estimate(stream(*table), Plan(alternative=alternative))
    exact = stats.fisher_exact(square(table), alternative=alternative).pvalue
    assert found.p == pytest.approx(exact, rel=1e-9)
    assert found.guarantee == "exact"


def test_fisher_over_epochs_is_a_sum_of_hypergeometrics() -> None:
    cells = ([20, 10], [3, 2], [25, 10], [9, 6])
    found = fisher.estimate(stream(*cells), Plan(alternative="greater"))
    laws = [stats.hypergeom(45, 12, 25), stats.hypergeom(20, 8, 10)]
    outcomes = itertools.product(range(13), range(9))
    exact = sum(laws[0].pmf(i) * laws[1].pmf(j) for i, j in outcomes if i + j >= 15)
    assert found.p == pytest.approx(exact)


def test_log_p_of_fisher_survives_underflow() -> None:
    found = fisher.estimate(stream(3000, 0, 3000, 3000), Plan())
    assert found.p == 0.0
    assert found.log_p == pytest.approx(math.log(2.0) - math.log(math.comb(6000, 3000)), rel=1e-9)


@pytest.mark.parametrize("null", [Delta(0.0, relative=False), Delta(0.1, False), Delta(0.5, True)])
@each_alternative
def test_barnard_by_brute_force(null, alternative) -> None:
    n_a, s_a, n_b, s_b = 8, 2, 9, 6
    plan = Plan(alternative=alternative, null=null)
    found = barnard.estimate(stream(n_a, s_a, n_b, s_b), plan)
    ratio, offset = (1.0 + null.value, 0.0) if null.relative else (1.0, null.value)

    def statistic(a, b):
        cells = [np.array([float(cell)]) for cell in (n_a, a, n_b, b)]
        at = proportion_at_ratio if null.relative else proportion_at_difference
        x = at(*cells, np.array([[ratio if null.relative else offset]]))[0, 0]
        y = ratio * x + offset
        distance = b / n_b - ratio * a / n_a - offset
        variance = ratio**2 * x * (1 - x) / n_a + y * (1 - y) / n_b
        z = 0.0 if abs(distance) < 1e-12 else distance / math.sqrt(variance)
        return {"two-sided": abs(z), "greater": z, "less": -z}[alternative]

    extreme = [
        (a, b)
        for a, b in itertools.product(range(n_a + 1), range(n_b + 1))
        if statistic(a, b) >= statistic(s_a, s_b) - 1e-7
    ]
    x = np.linspace(0.0, min(1.0, (1.0 - offset) / ratio), 4001)
    total = sum(
        stats.binom.pmf(a, n_a, x) * stats.binom.pmf(b, n_b, ratio * x + offset) for a, b in extreme
    )
    assert found.p == pytest.approx(total.max(), rel=1e-4)


def test_barnard_agrees_with_scipy_where_no_tables_are_tied() -> None:
    found = barnard.estimate(stream(100, 3, 110, 12), Plan())
    assert found.p == pytest.approx(stats.barnard_exact(square((100, 3, 110, 12))).pvalue)


@pytest.mark.parametrize("table", [(20, 3, 25, 9), (7, 7, 9, 2), (1, 0, 2, 2)], ids=str)
@each_alternative
def test_boschloo_is_scipys_and_never_less_powerful_than_fisher(table, alternative) -> None:
    found = boschloo.estimate(stream(*table), Plan(alternative=alternative))
    wanted = stats.boschloo_exact(square(table), alternative=alternative).pvalue
    assert found.p == pytest.approx(wanted, rel=1e-6)
    assert found.guarantee == "exact"
    if alternative != "two-sided":
        fishers = fisher.estimate(stream(*table), Plan(alternative=alternative)).p
        assert found.p <= fishers * (1 + 1e-9)


@pytest.mark.parametrize("method", [barnard, boschloo])
def test_log_p_of_unconditional_tests_survives_underflow(method) -> None:
    found = method.estimate(stream(546, 0, 546, 546), Plan())
    assert found.p == 0.0
    # The two tables at the ends, at a common level of one half.
    assert found.log_p == pytest.approx(math.log(2.0) - 1092 * math.log(2.0), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("method", [barnard, boschloo])
def test_one_variant_may_be_far_larger_than_the_other(method) -> None:
    """What was seen is only likely beside a level of 1, between two points of a coarse grid."""
    many = 30_000
    found = method.estimate(stream(2, 0, many, many), Plan(alternative="greater"))
    likeliest = many / (many + 2)
    wanted = 2 * math.log1p(-likeliest) + many * math.log(likeliest)
    assert found.log_p == pytest.approx(wanted, abs=1e-3)
    swapped = method.estimate(stream(many, many, 2, 0), Plan(alternative="less"))
    assert swapped.log_p == pytest.approx(found.log_p, abs=1e-6)


@each_table
def test_newcombe(table) -> None:
    n_a, s_a, n_b, s_b = table
    found = newcombe.estimate(stream(*table), Plan(alpha=0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low, high = confint_proportions_2indep(s_b, n_b, s_a, n_a, method="newcomb", alpha=0.1)
    assert found.interval == pytest.approx((low, high))


@pytest.mark.parametrize("method", [proportion, newcombe, fisher, barnard, boschloo])
@pytest.mark.parametrize("successes", [0, 30])
def test_no_or_only_successes_are_no_difference_with_a_real_interval(method, successes) -> None:
    found = method.estimate(stream(30, successes, 30, successes), Plan())
    assert found.p == 1.0
    assert found.interval[0] < -0.05
    assert found.interval[1] > 0.05


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("method", [proportion, newcombe, fisher, barnard, boschloo])
def test_one_or_two_trials_prove_nothing(method, n) -> None:
    found = method.estimate(stream(n, 0, n, n), Plan())
    assert found.interval[0] > -1.0
    assert found.interval[1] == pytest.approx(1.0)
    if method in (fisher, barnard, boschloo):
        assert not found.rejects


def test_an_epoch_with_one_variant_is_left_out_and_said() -> None:
    whole = proportion.estimate(stream([100, 50], [10, 0], [0, 50], [0, 3]), Plan())
    alone = proportion.estimate(stream(50, 0, 50, 3), Plan())
    assert whole.p == alone.p
    assert whole.epochs == (1,)
    assert whole.notes[0] == Remark("epochsLeftOut", {"epochs_count": 1})


def test_score_intervals_cover_rare_events() -> None:
    """0.2% with 1,000 against 5,000: where the Wald interval covers 90% at best."""
    rng = np.random.default_rng(3)
    drawn = np.stack((rng.binomial(5000, 0.002, 500), rng.binomial(1000, 0.002, 500)))
    outcomes, often = np.unique(drawn, axis=1, return_counts=True)
    intervals = [
        proportion.estimate(stream(5000, s_a, 1000, s_b), Plan()).interval
        for s_a, s_b in outcomes.T
    ]
    missed = np.average([low > 0.0 or high < 0.0 for low, high in intervals], weights=often)
    assert missed < 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / 500)


@pytest.mark.parametrize("n", [10**6, 10**9, 10**12])
def test_intervals_of_rare_events_have_their_digits(n) -> None:
    """Against the same interval with 40 digits: where the score statistic is 1.96."""
    found = proportion.estimate(Stream(Counts(n, 5), Counts(n, 20), 0), Plan())
    a, b = mpmath.mpf(5) / n, mpmath.mpf(20) / n
    for end, side in zip(found.interval, (1, -1), strict=True):
        d = mpmath.mpf(end)
        with mpmath.workdps(60):
            rising = [5 * d * (1 - d), (n * d - 2 * n - 10) * d + 25, (n + 2 * n) * d - 2 * n - 25]
            roots = mpmath.polyroots([*rising, 2 * n], maxsteps=500, extraprec=400, asc=True)
            levels = [r.real for r in roots if abs(r.imag) < mpmath.mpf(10) ** -30]
            inside = [x for x in levels if max(0, -d) <= x <= min(1, 1 - d)]
            likely = [
                (
                    5 * mpmath.log(x)
                    + (n - 5) * mpmath.log(1 - x)
                    + 20 * mpmath.log(x + d)
                    + (n - 20) * mpmath.log(1 - x - d),
                    x,
                )
                for x in inside
                if x > 0 and x + d > 0
            ]
            x = max(likely)[1]
            z = (b - a - d) / mpmath.sqrt((x * (1 - x) + (x + d) * (1 - x - d)) / n)
        assert float(z) == pytest.approx(side * 1.959964, rel=1e-4)
