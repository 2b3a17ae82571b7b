"""Requests of one server, or user, are alike: laws, and an oracle that draws servers anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.stats.summaries.bursts import as_independent
from abctl.stats.summaries.clusters import between_clusters
from abctl.stats.summary import Counts, Stream

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), min_size=1, max_size=8)


def counts(pairs: list[tuple[int, float]]) -> Counts:
    n = [float(size) for size, _ in pairs]
    return Counts(n, [float(round(size * share)) for size, share in pairs])


@given(control=COUNTS, treatment=COUNTS)
def test_it_is_at_least_one_and_does_not_depend_on_the_order(
    control: list[tuple[int, float]], treatment: list[tuple[int, float]]
) -> None:
    k = max(len(control), len(treatment))
    one, two = (each + [(0, 0.0)] * (k - len(each)) for each in (control, treatment))
    effect = between_clusters(counts(one), counts(two))
    assert effect >= 1.0
    assert effect == pytest.approx(between_clusters(counts(one[::-1]), counts(two[::-1])))


def test_what_a_proxy_does_to_both_variants_is_no_difference() -> None:
    n = [1000.0, 1000.0]
    assert between_clusters(Counts(n, [1.0, 400.0]), Counts(n, [3.0, 402.0])) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("servers", [16, 64])
def test_the_effect_is_the_variance_of_many_draws_of_servers(servers: int) -> None:
    """Shares of servers are beta distributed: the variance of the whole share is known."""
    rng = np.random.default_rng(3)
    n = np.full(servers, 400)
    shares, effects = [], []
    for _ in range(2000):
        x = rng.binomial(n, rng.beta(2.0, 38.0, servers)).astype(float)
        side = Counts(np.append(n.astype(float), np.zeros(servers)), np.append(x, 0 * x))
        other = Counts(side.n[::-1], side.successes[::-1])
        shares.append(x.sum() / n.sum())
        effects.append(between_clusters(side, other))
    independent = 0.05 * 0.95 / n.sum()
    assert np.mean(effects) == pytest.approx(np.var(shares) / independent, rel=0.1)


def test_bursts_and_clusters_add_up() -> None:
    rng = np.random.default_rng(1)
    n = np.full(400, 100.0)
    one, two = (Counts(n, rng.binomial(100, 0.05, 400).astype(float)) for _ in range(2))
    stream = Stream(one, two, epoch=[0] * 400)
    plain, wider = as_independent(stream), as_independent(stream, clusters=9.0)
    assert isinstance(plain, Stream)
    assert isinstance(wider, Stream)
    sizes = [each.treatment.n.sum() for each in (plain, wider)]
    factor = n.sum() / sizes[0]
    assert n.sum() / sizes[1] == pytest.approx(factor + 8.0, rel=0.02)
