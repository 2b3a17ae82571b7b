"""How bad a treatment may still be: bounds that hold together, and follow a harm that grows."""

from dataclasses import replace

import numpy as np
import pytest
from ramps import MARGIN, RAMP, experiment

from abctl.analysis.worst import level, worst
from abctl.core.experiment import Metric
from abctl.core.worst import Worst
from abctl.stats.delta import Delta
from abctl.stats.summary import Counts, Stream

ERRORS = experiment().metrics[1]


def stream(control: float, treatment: list[float], polls: int = 40, each: int = 2000) -> Stream:
    """Polls of exact shares, the treatment's one after the other."""
    n = np.full(polls * len(treatment), each)
    shares = np.repeat(treatment, polls)
    hits = [np.round(n * control), np.round(n * shares)]
    return Stream(Counts(n, hits[0]), Counts(n, hits[1]), np.zeros(len(n), dtype=np.int64))


def bound(metric: Metric, of: Stream, method: str = "proportion_horizon") -> float:
    found = worst(experiment(), metric, method, of, unproven=False)
    assert found is not None
    assert found.harm is not None
    return found.harm


def test_the_level_is_shared_over_metrics_and_treatments() -> None:
    assert level(experiment()) == 0.05 / 2
    assert level(experiment(treatments=3)) == pytest.approx(0.05 / 6)
    told = (*experiment().metrics, replace(ERRORS, name="more", role="secondary", margin=None))
    assert level(replace(experiment(), metrics=told)) == 0.05 / 2


def test_harm_is_the_bad_side_of_each_direction() -> None:
    falls = replace(ERRORS, direction="increase")
    better, worse = stream(0.10, [0.06]), stream(0.10, [0.14])
    assert bound(ERRORS, better) < -0.02 < 0.04 < bound(ERRORS, worse)
    assert bound(falls, worse) < -0.02 < 0.04 < bound(falls, better)


def test_relative_where_what_is_allowed_is() -> None:
    tenth = replace(ERRORS, margin=Delta(0.1, relative=True))
    found = worst(experiment(), tenth, "proportion_horizon", stream(0.2, [0.2]), unproven=False)
    assert found is not None
    assert found.harm == pytest.approx(bound(ERRORS, stream(0.2, [0.2])) / 0.2, rel=0.3)
    assert found.ratio == pytest.approx(found.harm / 0.1)  # type: ignore[operator]


def test_it_follows_a_harm_that_grows_also_after_the_planned_end() -> None:
    before = bound(ERRORS, stream(0.02, [0.02], polls=200))
    after = bound(ERRORS, stream(0.02, [0.02, 0.05], polls=200))
    assert before < MARGIN.value < 0.015 < after


def test_what_proves_nothing_has_no_bound() -> None:
    found = worst(experiment(), ERRORS, "proportion_sequence", stream(0.1, [0.1]), unproven=True)
    assert found == Worst(MARGIN, 0.025, None)


def test_nobody_asks_without_a_ramp_or_of_what_is_only_shown() -> None:
    bare = replace(experiment(), ramp=None)
    shown = replace(ERRORS, role="secondary")
    for asked, metric in ((bare, ERRORS), (replace(bare, ramp=RAMP), shown)):
        assert (
            worst(asked, metric, "proportion_sequence", stream(0.1, [0.1]), unproven=False) is None
        )
