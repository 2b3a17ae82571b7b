"""Reports and answers are scraped at other moments: that alone is no difference in reporting."""

import numpy as np
import pytest

from abctl.analysis.reported import reported_alike
from abctl.stats.estimate import Estimate, Plan
from abctl.stats.methods import ratio_sequence
from abctl.stats.summary import Buckets, Stream

POLLS, BUCKETS, RATE = 20, 16, 400.0
PLAN = Plan(alpha=0.001)


def world(seed: int, *, shares: tuple[float, float], cut_apart: float) -> Stream[Buckets]:
    """Of each variant's answers a share is reported.

    The treatment's answers are scraped later than its reports at the begin, by a part of a poll,
    and at the end at the same moment.
    """
    rng = np.random.default_rng(seed)
    answers = rng.poisson(RATE, (2, POLLS, BUCKETS))
    control, treatment = (
        rng.binomial(n, p).astype(float) for n, p in zip(answers, shares, strict=True)
    )
    answers[1, 0] -= rng.binomial(answers[1, 0], cut_apart)
    a, b = answers.astype(float)
    return Stream(Buckets(control, a), Buckets(treatment, b), np.zeros(POLLS, int))


@pytest.mark.parametrize("seed", range(5))
def test_what_polls_explain_is_no_difference(seed: int) -> None:
    stream = world(seed, shares=(0.5, 0.5), cut_apart=0.45)
    alone = ratio_sequence.estimate(stream, PLAN)
    assert isinstance(alone, Estimate)
    assert alone.rejects  # as if the treatment had more reports
    found = reported_alike(stream, PLAN)
    assert isinstance(found, Estimate)
    assert not found.rejects
    assert found.treatment == pytest.approx(alone.treatment)  # what is told is what was counted


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.0, 0.8)])
def test_a_difference_beyond_that_is_found(seed: int, shares: tuple[float, float]) -> None:
    found = reported_alike(world(seed, shares=shares, cut_apart=0.45), PLAN)
    assert isinstance(found, Estimate)
    assert found.rejects
