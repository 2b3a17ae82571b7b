"""Quantiles of users who differ, and of whom some send much: levels, power, and what is refused."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from abctl.stats.delta import Delta
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.methods import (
    bursty_ratio_sequence,
    grouped_quantile,
    grouped_quantile_sequence,
    quantile_sequence,
)
from abctl.stats.summaries.grouped import (
    GroupedHistogram,
    as_independent_values,
    design_effect,
    totals,
)
from abctl.stats.summary import Buckets, Stream

pytestmark = pytest.mark.slow

EDGES = tuple(0.001 * 1.25 ** np.arange(40))
POLLS, DRAWS, GROUPS = 48, 24, 16
MARGIN = Delta(0.1, relative=True)
HARM = Plan(alternative="greater", null=MARGIN, mde=MARGIN, quantile=0.95)
WITHIN = Plan(alternative="less", null=MARGIN, mde=MARGIN, quantile=0.95)
TAILS = (3.0, 1.5, 1.1)


@cache
def drawn(tail: float, seed: int, slower: float, spread: float = 0.6) -> Stream[GroupedHistogram]:
    """Users of lognormal speed and Pareto activity, half of them treated."""
    rng = np.random.default_rng(seed)
    users, requests = 2000, 30_000
    activity = rng.pareto(tail, users) + 1.0
    speed = 0.02 * np.exp(spread * rng.normal(size=users))
    group, treated = rng.integers(GROUPS, size=users), rng.random(users) < 0.5
    who = rng.choice(users, size=requests, p=activity / activity.sum())
    seconds = speed[who] * np.exp(0.3 * rng.normal(size=requests))
    seconds *= np.where(treated[who], slower, 1.0)
    cells = len(EDGES) + 1
    at = (rng.integers(POLLS, size=requests) * GROUPS + group[who]) * cells
    at += np.searchsorted(EDGES, seconds)
    size = POLLS * GROUPS * cells
    control, treatment = (
        GroupedHistogram(np.bincount(at[mine], minlength=size).reshape(POLLS, GROUPS, cells), EDGES)
        for mine in (~treated[who], treated[who])
    )
    return Stream(control, treatment, np.zeros(POLLS))


def test_neither_harm_nor_a_margin_is_proven_wrongly_more_often_than_alpha() -> None:
    worlds = ((HARM, 1.0), (HARM, 1.1), (WITHIN, 1.1))
    seen = {
        (tail, plan.alternative, slower): [
            grouped_quantile_sequence.estimate(drawn(tail, seed, slower), plan)
            for seed in range(DRAWS)
        ]
        for tail in TAILS
        for plan, slower in worlds
    }
    for cell, found in seen.items():
        wrong = sum(isinstance(each, Estimate) and each.rejects for each in found)
        assert binom.sf(wrong - 1, DRAWS, 0.05) >= 0.01 / len(seen), (cell, wrong)
    [*told] = [
        each.why.code for each in seen[1.1, "greater", 1.0] if isinstance(each, NotEstimable)
    ]
    assert set(told) == {"fewUnitsHoldAll"}


def test_by_request_the_same_worlds_are_stopped_far_too_often() -> None:
    wrong = sum(
        found.rejects
        for seed in range(DRAWS)
        if isinstance(
            found := quantile_sequence.estimate(totals(drawn(1.1, seed, 1.0)), HARM), Estimate
        )
    )
    assert binom.sf(wrong - 1, DRAWS, 0.05) < 0.01


def test_what_is_much_slower_is_found() -> None:
    plan = Plan(alternative="greater", null=MARGIN, mde=MARGIN, quantile=0.5)
    found = [
        grouped_quantile_sequence.estimate(drawn(3.0, seed, 1.5), plan) for seed in range(DRAWS)
    ]
    assert sum(isinstance(each, Estimate) and each.rejects for each in found) > 0.8 * DRAWS


@pytest.mark.parametrize("method", [grouped_quantile, grouped_quantile_sequence])
def test_one_user_who_sends_nearly_all_is_refused_by_name(method) -> None:
    counts = np.ones((POLLS, GROUPS, len(EDGES) + 1))
    counts[:, 3] *= 1000.0
    one = GroupedHistogram(counts, EDGES)
    found = method.estimate(Stream(one, one, np.zeros(POLLS)), Plan(quantile=0.95))
    assert found.why.code == "fewUnitsHoldAll"
    assert found.why.facts["largest_ratio"] == pytest.approx(1000 / 1015)
    assert found.why.facts["needed_count"] == 8.0


def test_users_who_are_alike_are_as_good_as_independent_requests() -> None:
    assert design_effect(drawn(3.0, 1, 1.0, spread=0.0), 0.5) < 2.5
    effect = design_effect(drawn(3.0, 1, 1.0), 0.5)
    assert effect > 5.0
    stream = totals(drawn(3.0, 1, 1.0))
    fewer = as_independent_values(stream, effect)
    kept = fewer.control.counts.sum() / stream.control.counts.sum()
    assert kept == pytest.approx(1.0 / effect, rel=0.02)


def test_a_pause_that_all_users_share_is_no_difference_of_means() -> None:
    rng = np.random.default_rng(1)
    n = np.full((60, GROUPS), 100.0)
    pauses = np.where(rng.random(60) < 0.1, 3.0, 1.0)[:, None]
    base = n * rng.normal(1.0, 0.02, (60, GROUPS))
    stream = Stream(Buckets(base, n), Buckets(base * pauses, n), np.zeros(60))
    found = bursty_ratio_sequence.estimate(stream, Plan())
    assert isinstance(found, NotEstimable) or not found.rejects
