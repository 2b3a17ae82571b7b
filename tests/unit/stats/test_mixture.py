"""Mixtures and their boundaries against quadrature and closed forms."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from abctl.stats.estimate import Delta, Plan
from abctl.stats.methods import mean_sequence
from abctl.stats.sequential.mixture import boundary, log_e_value, scale_of
from abctl.stats.summary import Moments, Stream


def by_quadrature(score, information, scale, alternative):
    """E-value of 0.9 times the points plus 0.1 times a (half) normal distribution of effects."""

    def ratio(effect):
        return math.exp(effect * score - 0.5 * effect**2 * information)

    signs = {"two-sided": (1, -1), "greater": (1,), "less": (-1,)}[alternative]
    points = sum(
        weight * ratio(sign * size * scale)
        for size, weight in ((0.5, 0.3), (1.0, 0.6), (2.0, 0.1))
        for sign in signs
    )
    density = stats.norm(scale=scale).pdf
    low, high = {"two-sided": (-9, 9), "greater": (0, 9), "less": (-9, 0)}[alternative]
    area = integrate.quad(
        lambda h: density(h) * ratio(h), low * scale, high * scale, points=[0.0], limit=200
    )[0]
    return 0.9 * points / len(signs) + 0.1 * area * (2 / len(signs))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("score", [-3.0, 0.0, 1.0, 8.0])
def test_e_values_are_the_mixture(score, alternative) -> None:
    found = log_e_value(
        np.array([score]), np.array([4.0]), np.array([0.7]), Plan(alternative=alternative)
    )
    assert math.exp(found[0]) == pytest.approx(
        by_quadrature(score, 4.0, 0.7, alternative), rel=1e-6
    )


@pytest.mark.parametrize("information", [1e-6, 1.0, 1e12])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_at_the_boundary_the_e_value_is_one_over_alpha(information, alternative) -> None:
    plan = Plan(alpha=0.01, alternative=alternative)
    edge = boundary(information, 0.3, plan)
    sign = -1.0 if alternative == "less" else 1.0
    score = np.array([sign * edge * math.sqrt(information)])
    found = log_e_value(score, np.array([information]), np.array([0.3]), plan)
    assert found[0] == pytest.approx(math.log(100.0), rel=1e-6)


def test_a_confidence_sequence_does_not_stop_shrinking() -> None:
    """Points alone would stop at a quarter of the smallest effect that is looked for."""
    widths = [boundary(v, 1.0, Plan()) / math.sqrt(v) for v in (1e2, 1e4, 1e6, 1e8)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.001


@pytest.mark.parametrize(
    ("plan", "scale"),
    [
        (Plan(), 7.0),
        (Plan(mde=Delta(0.02, relative=False)), 0.02),
        (Plan(mde=Delta(-0.5, relative=True)), 2.0),
        (Plan(null=Delta(-0.1, relative=True)), 0.4),
        (Plan(null=Delta(0.3, relative=False), mde=Delta(0.1, relative=False)), 0.1),
    ],
)
def test_the_size_that_is_looked_for(plan, scale) -> None:
    assert scale_of(plan, np.array([-4.0]), np.array([7.0]))[0] == pytest.approx(scale)


def test_rare_large_values_are_waited_for() -> None:
    """Five buyers among 9,000 users are not yet a mean; as many equal values are."""

    def side(n, each):
        return Moments([n], [5.0 * each], [5.0 * each**2])

    plan = Plan(mde=Delta(0.1, relative=True))
    few = mean_sequence.estimate(Stream(side(9000, 10.0), side(9000, 12.0), [0]), plan)
    assert few.why.code == "tooFewValuesForNormal"
    many = mean_sequence.estimate(Stream(side(90_000, 10.0), side(90_000, 12.0), [0]), plan)
    assert not many.rejects
