"""Variants that are scraped at different intervals: what is counted of one is seen later."""

from dataclasses import replace

import pytest
from _client_worlds import Counted, World, experiment_of

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.session.analyze import gather, telemetry
from abctl.sources import Series
from abctl.stats.estimate import NotEstimable
from abctl.stats.srm import SrmResult

pytestmark = pytest.mark.slow

ALIKE = World("alike", better=0.0, proxy=False, tail=20.0, users=200_000)


def analysis(world: World, every: int, treatment_bp: int = 5000) -> Analysis:
    """Of a treatment of which only some scrapes are there: the control has one every 15 s."""
    counted = Counted(world, seed=3)
    kept = []
    for series in counted.all:
        slow = series.labels["instance"].startswith("treatment")
        parts = slice(5, None, every) if slow else slice(None)
        kept.append(Series(series.labels, series.times[parts], series.values[parts]))
    counted.__dict__["all"] = kept
    experiment, ledger = experiment_of(replace(world, share=treatment_bp / 10_000), "request")
    return judge(gather(experiment, ledger, counted, telemetry(experiment)))


@pytest.mark.parametrize("every", [1, 8])
def test_that_one_is_scraped_seldom_is_no_mismatch(every: int) -> None:
    found = analysis(ALIKE, every)
    assert found.verdict.kind != "invalid"
    assert [variant.requests for variant in found.variants] == pytest.approx([28_400] * 2, rel=0.04)
    if every == 8:
        assert isinstance(found.srm, NotEstimable)
        assert found.srm.why.code == "scrapedUnevenly"
        facts = found.srm.why.facts
        assert (facts["slow"], facts["slow_seconds"], facts["fast_seconds"]) == (
            "treatment",
            120.0,
            15.0,
        )
    else:
        assert isinstance(found.srm, SrmResult)


@pytest.mark.parametrize("treatment_bp", [4000, 4700])
def test_a_split_that_is_another_one_stays_a_mismatch(treatment_bp: int) -> None:
    """Whoever is scraped seldom may have missed requests, never seen too many."""
    found = analysis(ALIKE, 8, treatment_bp)
    assert isinstance(found.srm, SrmResult)
    assert found.srm.mismatch
    assert found.verdict.kind == "invalid"
