"""Several primaries and treatments: what may ship, against Holm of statsmodels, and its errors."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from estimates import PLAIN
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from abctl.analysis.compare import _adjusted
from abctl.core.analysis import Claim, ClaimKind, Comparison, MetricResult, Role
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Remark

ALPHA = 0.05
ZERO = Delta(0.0, relative=False)


def estimate(p: float) -> Estimate:
    return replace(PLAIN, p=p, log_p=math.log(p) if p else -math.inf)


def metrics(role: Role, says: ClaimKind, p: NDArray[Any]) -> list[MetricResult]:
    """Metrics of one role; p of shape (metrics, treatments), not a number: not estimable."""
    missing = NotEstimable("proportion_sequence", Remark("noSharedEpoch"))
    rest: dict[str, Any] = dict.fromkeys(("quantile", "mde", "margin"))
    return [
        MetricResult(
            name=f"{role} {i}",
            role=role,
            kind="proportion",
            of="clicks",
            direction="increase",
            method="proportion_sequence",
            selectors={},
            remarks=(),
            polls=1,
            comparisons=tuple(
                Comparison(
                    f"t{t}",
                    missing,
                    (
                        Claim(says, ZERO, estimate(value), None, bool(value <= ALPHA))
                        if math.isfinite(value)
                        else Claim(says, ZERO, missing, None, proven=False),
                        Claim("harm", ZERO, estimate(0.04), None, proven=True),
                    ),
                )
                for t, value in enumerate(row)
            ),
            **rest,
        )
        for i, row in enumerate(p.tolist())
    ]


def shipped(better: NDArray[Any], safe: NDArray[Any]) -> NDArray[Any]:
    """By primary and treatment: whether it may ship for that."""
    found = _adjusted(
        [*metrics("primary", "better", better), *metrics("guardrail", "non-inferior", safe)], ALPHA
    )
    proven = np.array([[c.claims[0].proven for c in m.comparisons] for m in found])
    # Alarms are left alone.
    assert all(c.claims[1].proven and c.claims[1].p_adjusted is None for c in found[0].comparisons)
    primaries = len(better)
    return np.asarray(proven[:primaries] & proven[primaries:].all(axis=0))


@st.composite
def p_values(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any]]:
    size = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)))
    each = st.sampled_from([0.0, 1e-6, 0.003, 0.009, 0.013, 0.02, 0.024, 0.026, 0.04, 0.06, 1.0])
    primaries, treatments, guardrails = size

    def table(rows: int) -> NDArray[Any]:
        values = draw(st.lists(each, min_size=rows * treatments, max_size=rows * treatments))
        return np.array(values).reshape(rows, treatments)

    return table(primaries), table(guardrails)


@pytest.mark.slow
@given(p_values())
def test_what_ships_is_what_holm_rejects_of_the_largest_p(p: tuple[NDArray[Any], ...]) -> None:
    better, safe = p
    margins = safe.max(axis=0, initial=0.0) / len(better)
    together = np.maximum(better, margins)
    rejected = multipletests(together.ravel(), ALPHA, method="holm")[0]
    assert np.array_equal(shipped(better, safe), rejected.reshape(together.shape))


def test_one_primary_and_one_treatment_are_not_corrected() -> None:
    assert shipped(np.array([[0.05]]), np.array([[0.05], [0.04]])).all()
    found = _adjusted(metrics("primary", "better", np.array([[0.03]])), ALPHA)
    assert found[0].comparisons[0].claims[0].p_adjusted == 0.03


def test_a_guardrail_is_corrected_for_treatments_but_not_for_primaries() -> None:
    tiny = 1e-9
    assert shipped(np.full((3, 1), tiny), np.array([[0.05]])).all()
    assert not shipped(np.full((1, 2), tiny), np.array([[0.03, 0.03]])).any()
    assert shipped(np.full((1, 2), tiny), np.array([[0.025, 0.05]])).all()


def test_what_is_not_estimable_counts_and_is_not_shipped() -> None:
    better = np.array([[0.024, math.nan, math.nan]])
    safe = np.full((1, 3), 1e-9)
    assert not shipped(better, safe).any()
    assert shipped(better[:, :2], safe[:, :2]).tolist() == [[True, False]]
    assert not shipped(np.array([[1e-9]]), np.array([[math.nan]])).any()


@pytest.mark.parametrize("primaries", [1, 2])
def test_few_experiments_ship_a_treatment_at_its_margin(primaries: int) -> None:
    """All are better, each is as bad as its margin, on a guardrail of its own."""
    rng, runs, treatments, wrong = np.random.default_rng(1), 400, 3, 0
    for _ in range(runs):
        safe = np.full((treatments, treatments), 1e-9)
        np.fill_diagonal(safe, rng.random(treatments))
        wrong += bool(shipped(np.full((primaries, treatments), 1e-9), safe).any())
    assert wrong / runs <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
