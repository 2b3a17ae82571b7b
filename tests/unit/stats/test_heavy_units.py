"""One unit with much of a variant's denominator: whatever it does, it is one unit."""

import numpy as np
import pytest

from abctl.stats import Comparison, compare_ratios
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan
from abctl.stats.methods import method
from abctl.stats.summaries.clients import clients
from abctl.stats.summary import Buckets, Stream

BUCKETS, POLLS = 64, 10
METHODS = ("ratio", "ratio_sequence", "ratio_horizon")


def world(rng, share, errors, base, treated):
    """Users, and a client with a share of its variant's requests; all have rates of their own."""
    users = 3000
    requests = rng.poisson(rng.gamma(1.0, 5.0, users))
    heavy = int(requests.sum() / 2 * share / (1.0 - share))
    requests, rate = np.append(requests, heavy), np.append(np.full(users, base), errors)
    of = np.append(rng.random(users) < 0.5, treated)
    bucket = rng.integers(BUCKETS, size=users + 1)
    each = np.stack([rng.multinomial(n, np.full(POLLS, 1 / POLLS)) for n in requests])
    failed = rng.binomial(each, rate[:, None])
    sides = []
    for side in (False, True):
        sums = [np.zeros((POLLS, BUCKETS)) for _ in range(2)]
        for total, rows in zip(sums, (failed, each), strict=True):
            np.add.at(total.T, bucket[of == side], rows[of == side])
        sides.append(Buckets(*sums))
    return Stream(*sides, np.zeros(POLLS)), (failed.sum(1), requests, of)


@pytest.mark.parametrize("treated", [False, True])
@pytest.mark.parametrize(
    ("share", "errors", "base"), [(0.7, 0.0, 0.02), (0.5, 0.0, 0.02), (0.3, 0.0, 0.02),
                                  (0.7, 1.0, 0.98), (0.7, 0.3, 0.02), (0.7, 0.0, 0.005)]
)  # fmt: skip
def test_one_client_with_most_of_the_requests_proves_nothing(share, errors, base, treated) -> None:
    """Without errors of its own it makes them rare in its variant: that is no better model."""
    stream, _ = world(np.random.default_rng(7), share, errors, base, treated)
    margin = Delta(0.005, relative=False)
    for side in ("two-sided", "greater", "less"):
        for plan in (Plan(mde=Delta(0.2, relative=True)), Plan(null=margin, mde=margin)):
            asked = Plan(alternative=side, null=plan.null, mde=plan.mde, alpha=0.01)
            for name in METHODS:
                found = method(name).estimate(stream, asked)
                assert isinstance(found, Estimate)
                if not (side == "less" and plan.null.value and share < 0.5):  # which is true
                    assert not found.rejects, (name, asked, found.p)
                low, high = found.interval
                assert found.rejects == (low > plan.null.value or high < plan.null.value)


@pytest.mark.parametrize("name", METHODS)
def test_a_variant_that_fails_for_its_users_is_found_beside_such_a_client(name) -> None:
    rng = np.random.default_rng(8)
    stream, _ = world(rng, 0.7, 0.0, 0.01, treated=False)
    broken = Buckets(np.floor(0.3 * stream.treatment.denominator), stream.treatment.denominator)
    found = method(name).estimate(Stream(stream.control, broken, stream.epoch), Plan())
    assert found.rejects
    assert found.effect > 0.0


def test_where_no_bucket_stands_out_nothing_is_evened() -> None:
    ones = np.ones((3, BUCKETS))
    same = Stream(Buckets(0.0 * ones, 5.0 * ones), Buckets(ones, 6.0 * ones), np.zeros(3))
    one, other = (clients(same, even=even) for even in (False, True))
    assert np.array_equal(one.n_a, other.n_a)
    assert np.array_equal(one.n_b, other.n_b)


@pytest.mark.parametrize(("users", "share"), [(1, 0.5), (1, 0.9), (2, 0.5), (4, 0.5)])
def test_ratios_of_a_few_users_who_have_nearly_all_say_so(users, share) -> None:
    """One user who has half of all views proved a difference in 86 of 100 comparisons of A and A.

    Four with an eighth each are all in one variant once in eight times.
    """
    rng = np.random.default_rng(9)
    views = rng.poisson(10.0, 2000) + 1.0
    more = np.append(views, np.full(users, views.sum() * share / (1.0 - share) / users))
    clicks = rng.binomial(more.astype(int), np.append(np.full(2000, 0.02), np.full(users, 0.3)))
    others = rng.binomial(views.astype(int), 0.02)
    found = compare_ratios((others, views), (clicks, more))
    assert found.why.code == "fewUnitsHoldAll"
    assert found.why.facts["largest_ratio"] == pytest.approx(share / users, rel=0.01)
    assert not found.rejects
    rows = {
        "variant": ["a"] * views.size + ["b"] * more.size,
        "clicks": np.append(others, clicks),
        "views": np.append(views, more),
    }
    assert Comparison(rows, variant="variant", control="a").ratios("clicks", "views").why


def test_heavy_tails_that_are_not_a_few_users_are_compared() -> None:
    rng = np.random.default_rng(10)
    views = np.ceil(rng.pareto(2.5, (2, 4000)) + 1.0)
    clicks = rng.binomial(views.astype(int), np.array([[0.1], [0.2]]))
    found = compare_ratios((clicks[0], views[0]), (clicks[1], views[1]))
    assert found.why is None
    assert found.rejects


@pytest.mark.parametrize("name", METHODS)
def test_one_user_alone_is_no_traceback(name) -> None:
    requests = np.zeros((POLLS, BUCKETS))
    requests[:, 3] = 100.0
    for errors in (0.0, 0.5, 1.0):
        side = Buckets(errors * requests, requests)
        found = method(name).estimate(Stream(side, side, np.zeros(POLLS)), Plan())
        assert isinstance(found, Estimate | NotEstimable)
        assert not getattr(found, "rejects", False)
