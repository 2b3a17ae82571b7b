"""Pairs of answers: other implementations, expectations over all outcomes, errors and sizes."""

import itertools
import math
import secrets
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as of_statsmodels

from abctl.stats import compare_paired
from abctl.stats.estimate import Delta, NotEstimable, Plan
from abctl.stats.fixed.contrast import NO_EFFECT, Null
from abctl.stats.fixed.paired_score import statistic
from abctl.stats.methods import (
    mcnemar,
    mcnemar_mid_p,
    method,
    paired_proportion,
    paired_proportion_sequence,
)
from abctl.stats.power.sizes import proportions, sample_size
from abctl.stats.power.targets import pairs as of_pairs
from abctl.stats.power.up_to_horizon import cost_of_horizon, planned_information
from abctl.stats.sequential.paired_e import differences, log_e_path
from abctl.stats.summaries.paired import PairedCounts, cells_of, paired
from abctl.stats.summaries.paired_means import paired_moments
from abctl.stats.summary import Moments, Stream, SummaryError

TABLES = [(900, 30, 15, 55), (10, 3, 0, 2), (0, 3, 2, 5), (100, 0, 0, 20), (50, 0, 9, 1)]
SIDES = ("two-sided", "greater", "less")


def pairs_of(cells, **more):
    both, treatment, control, neither = cells
    n = np.add.reduce([both, treatment, control, neither])
    return paired(n, both, control, treatment, **more)


@pytest.mark.parametrize("cells", TABLES, ids=str)
@pytest.mark.parametrize("side", SIDES)
def test_p_is_that_of_other_implementations(cells, side) -> None:
    _, b, c, _ = cells
    plan = Plan(alternative=side)
    found = {m: m.estimate(pairs_of(cells), plan) for m in (mcnemar, mcnemar_mid_p)}
    coin = stats.binomtest(b, b + c, alternative=side).pvalue if b + c else 1.0
    assert found[mcnemar].p == pytest.approx(coin)
    if side == "two-sided":
        table = [[cells[0], b], [c, cells[3]]]
        assert found[mcnemar].p == pytest.approx(of_statsmodels(table, exact=True).pvalue)
        if b + c:
            score = paired_proportion.estimate(pairs_of(cells), plan)
            assert score.p == pytest.approx(
                of_statsmodels(table, exact=False, correction=False).pvalue
            )
            seen = stats.binom.pmf(b, b + c, 0.5)
            assert found[mcnemar_mid_p].p == pytest.approx(min(1.0, coin - seen * (b != c)))
    elif b + c:
        half = 0.5 * stats.binom.pmf(b, b + c, 0.5)
        assert found[mcnemar_mid_p].p == pytest.approx(coin - half)


def likeliest(cells, null):
    """The score statistic with the variance of the likeliest shares, which are searched for."""
    d, share = differences(null), np.array(cells) / np.sum(cells)
    low, high = -1.0 / d.max() * (1 - 1e-13), -1.0 / d.min() * (1 - 1e-13)
    for _ in range(200):
        m = 0.5 * (low + high)
        low, high = (m, high) if np.sum(share * d / (1 + m * d)) > 0 else (low, m)
    there = share / (1 + m * d)
    rest, variance = 1 - there.sum(), np.sum(there * d * d)
    if rest > 1e-9:  # a kind that was not seen, and that the null needs
        variance += np.sum(there * d) ** 2 / rest
    return np.sum(share * d) / math.sqrt(variance / np.sum(cells))


@pytest.mark.parametrize("cells", TABLES, ids=str)
@pytest.mark.parametrize(
    "null", [Null(1, 0.1), Null(1, -0.2), Null(1.1, 0), Null(0.8, 0), Null(2, 0)], ids=str
)
def test_a_margin_takes_the_likeliest_shares_under_it(cells, null) -> None:
    found = statistic(np.array(cells, float), np.array([null.ratio]), np.array([null.offset]))
    assert found[0] == pytest.approx(likeliest(cells, null), abs=1e-6)


NULLS = {
    "equal": (NO_EFFECT, Plan(mde=Delta(0.1, relative=False))),
    "equal, one-sided": (NO_EFFECT, Plan(alternative="greater")),
    "margin": (Null(1.0, -0.1), Plan(null=Delta(-0.1, relative=False), alternative="greater")),
    "relative margin": (Null(0.9, 0.0), Plan(null=Delta(-0.1, relative=True))),
}


@pytest.mark.parametrize("case", NULLS)
@pytest.mark.parametrize("past", [None, (30, 4, 1, 5), (0, 0, 0, 9)], ids=str)
@pytest.mark.parametrize("differ", [0.15, 0.6])
def test_the_next_e_value_is_not_expected_to_be_larger(case, past, differ) -> None:
    """Summed over all outcomes of a poll of five pairs, whatever came before."""
    null, plan = NULLS[case]
    control = 0.5
    alone = 0.5 * (differ - (null.ratio * control + null.offset - control))  # of the control
    treatment = null.ratio * control + null.offset - (control - alone)
    law = stats.multinomial(5, [control - alone, treatment, alone, 0.5 - treatment])
    total = 0.0
    for some in itertools.product(range(6), repeat=3):
        if (rest := 5 - sum(some)) < 0:
            continue
        polls = np.array([*([past] if past else []), (*some, rest)], float).T
        path = log_e_path(polls, null, plan)
        before = path[-2] if past else 0.0
        total += law.pmf((*some, rest)) * math.exp(path[-1] - before)
    assert total <= 1.0 + 1e-9


def test_agreements_without_a_label_change_nothing_but_the_levels() -> None:
    cells = np.tile([[440], [20], [8], [32]], 4)
    known, unknown = pairs_of(cells), paired([500] * 4, 0, [8] * 4, [20] * 4, labelled=False)
    plan = Plan(mde=Delta(0.02, relative=False))
    for name in ("paired_proportion", "paired_proportion_sequence", "paired_proportion_horizon"):
        one, other = (method(name).estimate(each, plan) for each in (known, unknown))
        assert (other.effect, other.p) == pytest.approx((one.effect, one.p))
        assert other.interval == pytest.approx(one.interval, rel=0.02)
        assert (other.control, other.treatment, other.lift) == (0.016, 0.04, None)
        assert [note.code for note in other.notes] == ["agreementsUnlabelled"]
        relative = replace(plan, null=Delta(-0.01, relative=True))
        assert method(name).estimate(unknown, relative).why.code == "levelsUnlabelled"


@pytest.mark.parametrize(
    "contradiction",
    [
        lambda: paired(10, 8, 2, 1),
        lambda: paired(10, -1, 2, 1),
        lambda: paired(10, 1, 2, 1, labelled=False),
        lambda: cells_of(Stream(PairedCounts(9, 1, 1), PairedCounts(9, 2, 1), 0)),
        lambda: cells_of(Stream(PairedCounts(9, 1, 1), PairedCounts(8, 1, 1), 0)),
    ],
)
def test_pairs_that_contradict_themselves_are_refused(contradiction) -> None:
    with pytest.raises(SummaryError):
        contradiction()


def drawn(rng, shape, each, effect, differ):
    right = 0.85
    alone = np.array([0.5 * (differ + effect), 0.5 * (differ - effect)])
    cells = [right, *alone, 1.0 - right - alone.sum()]
    return rng.multinomial(each, cells, shape).transpose(0, 2, 1)


# null, effect, alternative: on the border of each null, where errors are the most.
BORDERS = [
    (Delta(0.0, relative=False), 0.0, "greater"),
    (Delta(0.0, relative=False), 0.0, "less"),
    (Delta(-0.01, relative=False), -0.01, "greater"),
    (Delta(0.01, relative=False), 0.01, "less"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paired_proportion_sequence", "paired_proportion_horizon"])
def test_no_border_is_crossed_more_often_than_the_level(name) -> None:
    """Looked at after each of 60 polls; a cell fails by chance once in a hundred tables."""
    seed = secrets.randbits(32)
    rng, runs = np.random.default_rng(seed), 100
    for (null, effect, side), differ in itertools.product(BORDERS, (0.02, 0.1)):
        plan = Plan(alternative=side, null=null, mde=Delta(0.01, relative=False))
        plan = replace(plan, horizon=planned_information(0.05, 0.8, one_sided=True))
        wrong = sum(
            method(name).estimate(pairs_of(cells), plan).rejects
            for cells in drawn(rng, (runs, 60), 80, effect, differ)
        )
        chance = stats.binom.sf(wrong - 1, runs, 0.05)
        assert chance >= 0.01 / 16, f"seed {seed}: {wrong} of {runs}, {null}, {side}, {differ}"


@pytest.mark.slow
def test_as_many_pairs_as_planned_find_the_effect() -> None:
    """93% against 94%, where one model alone is right in 3%: 2,353 pairs, not 19,080 requests."""
    target = of_pairs(0.01, 0.03)
    assert sample_size(target)[0] == 2353
    assert sum(sample_size(proportions(0.93, 0.01))) == 19_080
    seed, runs, polls = secrets.randbits(32), 300, 50
    plan = Plan(mde=Delta(0.01, relative=False))
    plan = replace(plan, horizon=planned_information(0.05, 0.8, one_sided=False))
    for name, cost in (
        ("paired_proportion", 1.0),
        ("paired_proportion_horizon", cost_of_horizon(0.05, 0.8, one_sided=False)[0]),
    ):
        rng, needed = np.random.default_rng(seed), sample_size(target, inflation=cost)[0]
        for times, floor, ceiling in ((1.1, 0.8, 1.0), (0.9, 0.0, 0.8)):
            each = math.ceil(times * needed / polls)
            found = sum(
                method(name).estimate(pairs_of(cells), plan).rejects
                for cells in drawn(rng, (runs, polls), each, 0.01, 0.03)
            )
            said = f"seed {seed}: {name} found {found} of {runs} with {times} times {needed}"
            assert stats.binom.cdf(found, runs, floor) >= 0.0005 or floor == 0.0, said
            assert stats.binom.sf(found - 1, runs, ceiling) >= 0.0005 or ceiling == 1.0, said


def test_no_pair_is_no_answer() -> None:
    found = paired_proportion_sequence.estimate(paired([0, 0], 0, 0, 0), Plan())
    assert isinstance(found, NotEstimable)
    assert found.why.code == "noSharedEpoch"


@pytest.mark.slow
def test_errors_on_the_same_requests_are_found_with_fewer_of_them() -> None:
    seed, runs = secrets.randbits(32), 60
    rng = np.random.default_rng(seed)
    plan = Plan(alternative="less", mde=Delta(0.05, relative=False))
    wrong = found = alone = 0
    for _ in range(runs):
        hard = rng.exponential(1.0, 1500)
        sides = [hard * rng.uniform(0.7, 1.3, 1500) for _ in range(2)]
        for effect in (0.0, 0.05):
            stream = paired_moments(sides[0], sides[1] - effect, shift=1.0, polls=30)
            rejects = method("paired_mean_horizon").estimate(stream, plan).rejects
            wrong, found = wrong + rejects * (effect == 0.0), found + rejects * (effect > 0.0)
        alone += method("welch").estimate(as_split(sides[0], sides[1] - 0.05), plan).rejects
    said = f"seed {seed}: {wrong} wrong, {found} found, {alone} by a split of {runs}"
    assert stats.binom.sf(wrong - 1, runs, 0.05) >= 0.01, said
    assert found > 0.8 * runs > 2 * alone, said


@pytest.mark.parametrize(("common", "differ"), [(1e4, 0.01), (1e6, 0.2), (1e8, 1.0)])
def test_models_that_agree_on_nearly_all_are_told_apart_by_their_differences(
    common, differ
) -> None:
    """Squared errors of 1e8, and a hundredth of them differ by 1: products would lose that."""
    rng = np.random.default_rng(11)
    a = np.square(rng.normal(0.0, math.sqrt(common), 3000))
    b = a + np.where(rng.random(3000) < differ, rng.normal(0.2, 1.0, 3000), 0.0)
    wanted = stats.ttest_1samp(b - a, 0.0)
    found = compare_paired(a, b)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-4)
    low, high = wanted.confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high), rel=1e-4, abs=1e-9)
    little = rng.normal(0.0, 1.0, 3000)
    alone = compare_paired(little, little + (b - a))
    assert found.statistic == pytest.approx(alone.statistic, rel=1e-4)
    for name in ("paired_mean_sequence", "paired_mean_horizon"):
        plan = Plan(mde=Delta(0.05, relative=False))
        one, other = (
            method(name).estimate(paired_moments(*two, shift, polls=30), plan)
            for two, shift in (((a, b), float(a.mean())), ((little, little + (b - a)), 0.0))
        )
        assert one.log_p == pytest.approx(other.log_p, rel=1e-3, abs=1e-9)
        assert one.interval == pytest.approx(other.interval, rel=1e-4, abs=1e-9)


def test_a_difference_that_is_rounding_is_not_called_none() -> None:
    values = np.random.default_rng(12).normal(0.0, 1.0, 100)
    assert compare_paired(values, values).why.code == "noVariance"
    assert compare_paired(values, values + 0.1).why.code == "spreadLost"


def as_split(control, treatment):
    """As if each request had one answer: half of them of each variant."""
    sides = control[::2], treatment[1::2]
    return Stream(*(Moments(x.size, x.sum(), x @ x) for x in sides), 0)
