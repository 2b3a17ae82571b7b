"""Arguments are taken for what they say, or refused where they come in."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import test_proportions_2indep as proportions_2indep

from abctl.stats import srm
from abctl.stats.cuped import Pairs
from abctl.stats.cuped import estimate as cuped
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan
from abctl.stats.fixed.contrast import Null
from abctl.stats.methods import (
    barnard,
    proportion,
    proportion_sequence,
    rate,
    rate_sequence,
    welch,
)
from abctl.stats.power.group_sequential import bounds, spend
from abctl.stats.sequential import linear_e
from abctl.stats.summary import Counts, Events, Stream, SummaryError

WORDS = {"larger": "greater", "smaller": "less", "two_sided": "two-sided"}


def test_one_side_is_tested_at_no_level_over_one_half() -> None:
    assert Plan(alpha=0.5, alternative="less").alpha == 0.5
    assert Plan(alpha=0.6).alpha == 0.6
    with pytest.raises(ValueError, match=r"^alpha 0.6, must be at most 0.5 where one side is tes"):
        Plan(alpha=0.6, alternative="larger")


@pytest.mark.parametrize("word", WORDS)
def test_the_words_of_statsmodels_mean_what_they_mean_there(word) -> None:
    stream = Stream(Counts(1000, 100), Counts(1000, 130), 0)
    found = proportion.estimate(stream, Plan(alternative=word))
    assert found == proportion.estimate(stream, Plan(alternative=WORDS[word]))
    wanted = proportions_2indep(
        130, 1000, 100, 1000, method="score", correction=False, alternative=word.replace("_", "-")
    )
    assert found.p == pytest.approx(wanted.pvalue)


BAD = {
    "alternative": ["Greater", "two", None, ""],
    "alpha": [0.0, 1.0, math.nan],
    "null": [Delta(math.nan, relative=False), Delta(-1.0, relative=True)],
    "mde": [Delta(0.0, relative=True), Delta(math.nan, False), Delta(math.inf, False)],
    "prior": ["normal", None],
    "threshold": [math.nan],
    "quantile": [0.0, math.nan],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, values in BAD.items() for v in values])
def test_what_is_no_plan_is_refused(name, value) -> None:
    with pytest.raises(ValueError, match=name):
        Plan(**{name: value})


@pytest.mark.parametrize("method", [proportion, proportion_sequence, barnard])
def test_two_points_written_as_2_are_no_null_of_shares(method) -> None:
    stream = Stream(Counts(100, 10), Counts(100, 13), 0)
    found = method.estimate(stream, Plan(null=Delta(2.0, relative=False)))
    assert isinstance(found, NotEstimable)
    assert found.why.code == "noShareDifference"


@pytest.mark.parametrize("method", [rate, rate_sequence])
def test_but_of_rates_they_are(method) -> None:
    stream = Stream(Events(100, 10.0), Events(130, 10.0), 0)
    assert isinstance(method.estimate(stream, Plan(null=Delta(2.0, relative=False))), Estimate)


@pytest.mark.parametrize("moments", [(50, 1.0, -1.0), (50, math.nan, 1.0), (math.inf, 1.0, 1.0)])
def test_moments_that_cannot_be(moments) -> None:
    with pytest.raises(SummaryError):
        welch.from_moments((50, 1.0, 1.0), moments, Plan())


@pytest.mark.parametrize("word", ["obf", "Pocock", "OBrien-Fleming", ""])
def test_an_unknown_spending_function_is_none(word) -> None:
    for refused in (spend, bounds):
        with pytest.raises(SummaryError, match="spending"):
            refused([0.5, 1.0], 0.05, word)


def test_checks_of_the_split_check_their_arguments() -> None:
    counts, shares = [[5000, 5100]], [[0.5, 0.5]]
    for check in (srm.fixed, srm.sequential):
        for alpha in (0.0, 1.0, -1.0, math.nan):
            with pytest.raises(SummaryError, match="alpha"):
                check(counts, shares, alpha)
        for wrong in ([[50, 50]], [[0.5, math.nan]], [[0.5, 0.6]]):
            with pytest.raises(SummaryError, match="shares"):
                check(counts, wrong)
    for concentration in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(SummaryError, match="concentration"):
            srm.sequential(counts, shares, concentration=concentration)
        with pytest.raises(SummaryError, match="concentration"):
            srm.clustered(np.ones((1, 2, 16)), shares, concentration=concentration)


@pytest.mark.parametrize("kind", [np.int32, np.int16, np.uint8, np.int64, np.float32])
def test_small_types_of_integers_do_not_wrap(kind) -> None:
    rng = np.random.default_rng(1)
    top = min(100_000, np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1000)
    before = rng.integers(0, top, (2, 4000)).astype(kind)
    during = (before // 2 + rng.integers(0, top // 2, (2, 4000))).astype(kind)
    stream = Stream(*(Pairs.of(y, x) for y, x in zip(during, before, strict=True)), 0)
    assert stream.control.xy == pytest.approx([float(before[0].astype(float) @ during[0])])
    exact = during.astype(float), before.astype(float)
    sides = (Pairs.of(y, x) for y, x in zip(*exact, strict=True))
    wanted = cuped(Stream(*sides, 0), Plan())
    assert cuped(stream, Plan()) == wanted


ONE_POLL = {
    "proportions, margin": (proportion_sequence, Counts, 0.01, 0.012, "less", 0.005),
    "proportions, harm": (proportion_sequence, Counts, 0.01, 0.02, "greater", 0.005),
    "rates, margin": (rate_sequence, Events, 0.01, 0.012, "less", 0.005),
    "rates, harm": (rate_sequence, Events, 0.01, 0.02, "greater", 0.005),
}


@pytest.mark.parametrize("case", ONE_POLL.values(), ids=ONE_POLL)
def test_one_poll_of_totals_has_an_answer(case) -> None:
    method, kind, a, b, alternative, margin = case
    n = 1_000_000
    make = {Counts: lambda s: Counts(n, s), Events: lambda s: Events(s, float(n))}[kind]
    stream = Stream(make(round(n * a)), make(round(n * b)), 0)
    delta = Delta(margin, relative=False)
    found = method.estimate(stream, Plan(alternative=alternative, null=delta, mde=delta))
    assert found.p < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("null", [0.0, 0.02, -0.02])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_and_its_e_value_is_not_expected_to_be_over_one(null, alternative) -> None:
    """Over all tables of 20 trials each, at levels of the null."""
    plan = Plan(alternative=alternative, null=Delta(null, False), mde=Delta(0.1, relative=False))
    numbers = np.arange(21)
    e = np.ones((21, 21))
    twenty = np.array([20.0])
    for s_a, s_b in np.ndindex(21, 21):
        pairs = linear_e.Pairs(twenty, np.array([s_a + 0.0]), twenty, np.array([s_b + 0.0]))
        (log_e,) = linear_e.log_e_path(pairs, Null(1.0, null), plan)
        e[s_a, s_b] = math.exp(log_e)
    # Which is what the method says.
    found = proportion_sequence.estimate(Stream(Counts(20, 3), Counts(20, 9), 0), plan)
    assert math.exp(found.log_e) == pytest.approx(e[3, 9])
    for level in (0.02, 0.1, 0.5, 0.97):
        laws = (stats.binom.pmf(numbers, 20, p) for p in (level, level + null))
        one, other = laws
        assert one @ e @ other <= 1.0 + 1e-9


def test_memory_does_not_grow_with_the_counts() -> None:
    for n in (10**9, 10**12):
        stream = Stream(Counts(n, n // 25), Counts(n, n // 25 + 10 * int(n**0.5)), 0)
        found = proportion_sequence.estimate(stream, Plan())
        assert found.p < 1e-3
        assert found.interval[0] > 0.0
