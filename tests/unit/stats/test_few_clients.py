"""Few events from heavy clients: judged by the clients who have them, or not proven."""

import math

import numpy as np
import pytest
from scipy import stats

from abctl.stats.estimate import Delta, Estimate, Plan
from abctl.stats.fixed.contrast import Null
from abctl.stats.fixed.few_events import few_log_p
from abctl.stats.fixed.score import Strata
from abctl.stats.methods import rate, ratio, ratio_sequence
from abctl.stats.summaries.clients import clients
from abctl.stats.summary import Buckets, Events, Stream

pytestmark = pytest.mark.slow

MARGIN = Delta(0.005, relative=False)
POLLS, BUCKETS = 40, 64


def world(rng, light, broken, each, only_treatment=False):
    """Users of one request, and broken clients whose `each` requests all fail."""
    users = np.concatenate((np.arange(light), light + np.repeat(np.arange(broken), each)))
    bucket, treated = (rng.integers(k, size=light + broken)[users] for k in (BUCKETS, 2))
    cell = rng.integers(POLLS, size=users.size) * BUCKETS + bucket
    fails = users >= light
    sides = []
    for side in (0, 1):
        of_side = treated == side
        bad = of_side & fails & (side == 1 or not only_treatment)
        counts = (
            np.bincount(cell[each_], minlength=POLLS * BUCKETS).reshape(POLLS, BUCKETS)
            for each_ in (bad, of_side)
        )
        sides.append(Buckets(*counts))
    return Stream(*sides, np.zeros(POLLS))


WORLDS = {"10 x 50 of 12,500": (12_000, 10, 50), "10 x 300 of 123,000": (120_000, 10, 300)}


@pytest.mark.parametrize("size", WORLDS.values(), ids=WORLDS)
def test_broken_clients_in_both_variants_prove_nothing(size) -> None:
    rng = np.random.default_rng(1)
    plans = [Plan(alternative=side, mde=MARGIN) for side in ("two-sided", "greater", "less")]
    plans += [Plan(alternative=side, mde=MARGIN, null=MARGIN) for side in ("greater", "less")]
    asked = [(method, plan) for method in (ratio, ratio_sequence) for plan in plans]
    runs, wrong = 60, np.zeros(len(asked), dtype=int)
    for _ in range(runs):
        stream = world(rng, *size)
        found = [method.estimate(stream, plan) for method, plan in asked]
        wrong += [isinstance(each, Estimate) and each.rejects for each in found]
    assert stats.binom.sf(wrong - 1, runs, 0.05).min() > 0.01 / len(asked), wrong


@pytest.mark.parametrize("size", [(12_000, 1, 60), (12_000, 2, 30), (120_000, 2, 300)])
def test_broken_clients_who_make_up_the_margin_do_not_prove_it(size) -> None:
    """They are all in the control now and then; requests show that such clients exist."""
    rng = np.random.default_rng(2)
    plan = Plan(alternative="less", mde=MARGIN, null=MARGIN)
    runs = 60
    proven = sum(
        ratio_sequence.estimate(world(rng, *size, True), plan).rejects for _ in range(runs)
    )
    assert stats.binom.sf(proven - 1, runs, 0.05) > 0.01


def test_no_error_at_all_is_within_the_margin_in_the_end() -> None:
    plan = Plan(alternative="less", mde=MARGIN, null=MARGIN)
    proven = [
        ratio_sequence.estimate(world(np.random.default_rng(3), users, 0, 1), plan).rejects
        for users in (2_000, 120_000)
    ]
    assert proven == [False, True]


def test_many_clients_who_fail_are_harm_at_once() -> None:
    rng = np.random.default_rng(4)
    stream = world(rng, 2_000, 0, 1)
    failing = Buckets(stream.treatment.denominator, stream.treatment.denominator)
    plan = Plan(alternative="greater", mde=MARGIN, null=MARGIN)
    assert ratio_sequence.estimate(Stream(stream.control, failing, stream.epoch), plan).p < 1e-6


def test_fifty_errors_of_one_client_are_one_event() -> None:
    errors, requests = np.zeros((1, 64)), np.full((1, 64), 1000.0)
    errors[0, 7] = 50.0
    stream = Stream(Buckets(0 * errors, requests), Buckets(errors, requests), 0)
    found = clients(stream)
    assert found is not None
    assert found.s_b == pytest.approx([1.0])
    assert found.n_b == pytest.approx([1280.0])
    for method in (ratio, ratio_sequence):
        assert method.estimate(stream, Plan(alternative="greater")).p > 0.3


def exact(s_a, s_b, ratio_of_exposures=1.0):
    share = ratio_of_exposures / (1.0 + ratio_of_exposures)
    return stats.binomtest(s_b, s_a + s_b, share, alternative="greater").pvalue


@pytest.mark.parametrize(("s_a", "s_b", "exposure"), [(0, 4, 1.0), (1, 7, 2.0), (3, 12, 0.5)])
def test_few_poisson_events_are_tested_exactly(s_a, s_b, exposure) -> None:
    stream = Stream(Events(s_a, 1.0), Events(s_b, exposure), 0)
    found = rate.estimate(stream, Plan(alternative="greater"))
    assert found.p == pytest.approx(exact(s_a, s_b, exposure))
    assert found.guarantee == "exact"
    assert (found.interval[0] > 0.0) == found.rejects


def test_over_epochs_it_is_a_sum_of_binomials() -> None:
    rng = np.random.default_rng(5)
    n_a, n_b = np.array([1.0, 2.0]), np.array([3.0, 1.0])
    s_a, s_b = np.array([2.0, 1.0]), np.array([9.0, 3.0])
    strata = Strata(n_a, s_a, n_b, s_b, (0, 1), poisson=True)
    drawn = rng.binomial(11, 0.75, 400_000) + rng.binomial(4, 1 / 3, 400_000)
    p = math.exp(few_log_p(strata, Null(1.0, 0.0), "greater"))
    assert p == pytest.approx(np.mean(drawn >= 12), abs=0.003)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_a_margin_of_few_events_holds_its_level(alternative) -> None:
    """Whatever the level: the rejected tables together have at most alpha."""
    null, n = Null(1.0, 1.0), (5.0, 4.0)
    numbers = np.arange(25)
    rejected = np.zeros((25, 25), dtype=bool)
    for s_a, s_b in np.ndindex(25, 25):
        one = Strata(*(np.array([float(x)]) for x in (n[0], s_a, n[1], s_b)), (0,), poisson=True)
        rejected[s_a, s_b] = few_log_p(one, null, alternative) < math.log(0.05)
    assert rejected.any()
    for level in (0.0, 0.1, 0.4, 1.0):
        of_a, of_b = (
            stats.poisson.pmf(numbers, m) for m in (level * n[0], (level + null.offset) * n[1])
        )
        assert of_a @ rejected @ of_b <= 0.05
