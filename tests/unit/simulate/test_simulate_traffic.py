"""The plan of simulated traffic is pure: its laws, without a server."""

import itertools

import numpy as np
import pytest
from scipy import stats

from abctl.errors import SpecError, UsageError
from abctl.simulate._traffic import Outcome, Rows, Traffic, outcomes, plan, synthetic_value
from abctl.spec import parse

ROWS = Rows(np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]), np.array([0, 1, 2]))
EXPERIMENT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: t}}
spec:
  platform: envoy
  assignment: {{unit: user, key: x-user-id, salt: t-1}}
  variants:
    - {{name: control,   split: 50%, model: {{name: iris, version: v1}}}}
    - {{name: treatment, split: 50%, model: {{name: iris, version: v2}}}}
  metrics:
    - {{name: m, role: primary, kind: proportion, of: {0}, direction: increase, mde: 2pp}}
    - {{name: n, role: secondary, kind: {1}, of: {2}, direction: increase}}
"""


def requests_of(**options: object) -> list:
    return list(plan(Traffic(**options), ROWS, 2))


def test_the_same_seed_gives_the_same_plan_and_another_gives_other_users() -> None:
    once = requests_of(requests=5000, rate_per_second=10.0, feedback_delay_seconds=1, seed=7)
    assert once == requests_of(
        requests=5000, rate_per_second=10.0, feedback_delay_seconds=1, seed=7
    )
    others = {r.user for r in requests_of(requests=5000, seed=8)}
    assert others.isdisjoint({r.user for r in once})
    assert [r.index for r in once] == list(range(5000))


@pytest.mark.slow
def test_users_return_and_a_few_return_far_more_often_than_most() -> None:
    planned = requests_of(requests=40_000, users=1000)
    counts = np.unique([r.user for r in planned], return_counts=True)[1]
    assert len(counts) == pytest.approx(1000, abs=10)
    # Log-normal activity: the variance of counts is far over Poisson's.
    assert counts.var() > 10 * counts.mean()
    assert counts.max() > 5 * np.median(counts)


def test_a_user_keeps_their_trait() -> None:
    traits: dict[str, set[float]] = {}
    for each in requests_of(requests=3000, users=50):
        traits.setdefault(each.user, set()).add(each.trait)
    assert all(len(each) == 1 for each in traits.values())
    assert len(set.union(*traits.values())) == len(traits)


def test_the_asked_share_has_no_user() -> None:
    planned = requests_of(requests=20_000, anonymous_ratio=0.3)
    anonymous = sum(r.user is None for r in planned)
    assert stats.binomtest(anonymous, len(planned), 0.3).pvalue > 1e-4
    assert all(r.user for r in requests_of(requests=1000))


def test_without_noise_requests_are_the_rows_with_their_labels() -> None:
    rows = {(1.0, 10.0): 0, (2.0, 20.0): 1, (3.0, 30.0): 2}
    planned = requests_of(requests=2000, noise=0.0)
    assert {r.features: r.label for r in planned} == rows


@pytest.mark.slow
def test_noise_has_the_asked_size_and_grows_by_the_drift() -> None:
    planned = requests_of(requests=40_000, noise=0.2, drift=1.0)
    rows = dict(enumerate(ROWS.features))
    scaled = [(np.array(r.features) - rows[r.label]) / r.trait for r in planned]
    tenth = len(scaled) // 10
    assert np.std(scaled[:tenth]) == pytest.approx(0.2 * 1.05, rel=0.03)
    assert np.std(scaled[-tenth:]) == pytest.approx(0.2 * 1.95, rel=0.03)


def test_arrivals_at_a_rate_are_a_poisson_process() -> None:
    due = [r.due_seconds for r in requests_of(requests=10_000, rate_per_second=50.0)]
    gaps = np.diff([0.0, *due])
    assert stats.kstest(gaps, stats.expon(scale=1 / 50).cdf).pvalue > 1e-4
    assert gaps.min() > 0
    assert {r.due_seconds for r in requests_of(requests=100)} == {0.0}


def test_feedback_is_late_by_the_asked_mean_and_never_by_more_than_twice() -> None:
    delays = [r.feedback_delay_seconds for r in requests_of(feedback_delay_seconds=3.0)]
    assert np.mean(delays) == pytest.approx(3.0, rel=0.03)
    assert 0 <= min(delays) < max(delays) <= 6.0


def test_coins_are_uniform_and_unlike_each_other() -> None:
    coins = np.array([r.coins for r in requests_of(requests=10_000)])
    assert coins.shape == (10_000, 2)
    assert all(stats.kstest(column, "uniform").pvalue > 1e-4 for column in coins.T)
    assert stats.pearsonr(*coins.T).pvalue > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mean"), [("proportion", 0.1), ("mean", 2.0)])
@pytest.mark.parametrize("effect", [0.0, 0.05, -0.05])
@pytest.mark.parametrize("trait", [0.5, 1.5])
def test_a_made_up_outcome_has_the_documented_mean(
    kind: str, mean: float, effect: float, trait: float
) -> None:
    coins = (np.arange(200_000) + 0.5) / 200_000
    values = [synthetic_value(Outcome("x", kind), trait, c, effect) for c in coins]
    assert np.mean(values) == pytest.approx((mean + effect) * trait, rel=0.005, abs=1e-5)
    assert min(values) == 0
    if kind == "proportion":
        assert set(values) == {0.0, 1.0}


@pytest.mark.parametrize("coin", [0.0, 1e-300, 0.1 - 1e-17, 0.1, 1 - 1e-16])
def test_every_coin_gives_a_number(coin: float) -> None:
    assert 0 <= synthetic_value(Outcome("x", "mean"), 1.0, coin, 0.0) < 1e6


def test_only_outcomes_that_servers_cannot_see_come_as_feedback() -> None:
    found = outcomes(parse(EXPERIMENT.format("accuracy", "mean", "revenue"), "t"))
    assert found == (Outcome("accuracy", "truth"), Outcome("revenue", "mean"))
    found = outcomes(parse(EXPERIMENT.format("errors", "proportion", "clicks"), "t"))
    assert found == (Outcome("clicks", "proportion"),)


def test_an_outcome_of_two_kinds_cannot_be_made_up() -> None:
    with pytest.raises(SpecError, match="'clicks' is of two kinds"):
        outcomes(parse(EXPERIMENT.format("clicks", "mean", "clicks"), "t"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *itertools.product(["requests", "duration_seconds", "users", "concurrency"], [0, -1]),
        ("duration_seconds", float("inf")),
        ("duration_seconds", float("nan")),
        ("rate_per_second", 0),
        ("noise", -0.1),
        ("drift", -1.5),
        ("seed", -1),
        ("feedback_delay_seconds", -1),
        ("anonymous_ratio", 1.01),
    ],
)
def test_traffic_without_bounds_or_sense_is_refused(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=option.split("_", maxsplit=1)[0]):
        Traffic(**{option: value})


def test_a_rate_and_a_duration_bound_the_plan() -> None:
    assert Traffic(requests=1000, rate_per_second=10, duration_seconds=5).planned == 50
    assert Traffic(requests=20, rate_per_second=10, duration_seconds=5).planned == 20
    assert Traffic(requests=20).planned == 20
