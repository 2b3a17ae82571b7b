"""Counters and tables in one experiment: each metric by whom has it, and one verdict."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from held import held
from unit_tables import DAY, NAMES, START, experiment_file, ledger, shop

from abctl.analysis.judge import judge
from abctl.analysis.judge_units import OfUnits
from abctl.analysis.meaning import meaning
from abctl.core.assignment import by_salted_hash
from abctl.errors import SpecError
from abctl.forms.document import document
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Series
from abctl.sources.series import outline_of
from abctl.spec import parse
from abctl.tables.gather import gather as gather_units

pytestmark = pytest.mark.slow

ERRORS = "{name: errors, role: guardrail, kind: proportion, of: server_errors, direction: decrease, margin: 1pp}"  # noqa: E501
REVENUE = "{name: revenue, role: primary, kind: mean, of: purchase, per: user, window: 5d, before: 14d, direction: increase, mde: 40%}"  # noqa: E501
HOUR, BUCKETS = 3600.0, 16


@dataclass
class Counters:
    """Of each variant's server: requests by bucket, a share of which are errors, hour by hour."""

    errors: dict
    days: float
    place: str = "made-up counters"

    def now(self):
        return START + self.days * DAY

    def series(self, selector, start, end):
        return held(self.all, selector, start, end)

    @cached_property
    def all(self):
        rng, times = np.random.default_rng(1), np.arange(START - HOUR, self.now() + 1, HOUR)
        found = []
        for name in NAMES:
            here = {"variant": name, "instance": f"{name}:8082", "job": "models"}
            for bucket in range(BUCKETS):
                n = rng.poisson(20, times.size)
                bad = rng.binomial(n, self.errors[name])
                for code, each in (("2xx", n - bad), ("5xx", bad), ("4xx", bad * 0)):
                    labels = {"__name__": "ab_requests_total", **here, "bucket": str(bucket)}
                    values = np.cumsum(each).astype(float)
                    found.append(Series({**labels, "code": code}, times, values))
            began = np.full(times.size, START - 2 * HOUR)
            found.append(Series({"__name__": "process_start_time_seconds", **here}, times, began))
        return found

    def outline(self, selector, edges, since):
        return outline_of(self, selector, edges, since)


@pytest.fixture
def judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(effect, errors, days=22):
        world = shop(2500, days=14, effect=effect)
        world.write(tmp_path)
        more = "    preset: abctl\n    prometheus: {url: 'http://prometheus:9090'}"
        text = experiment_file(REVENUE, ERRORS, more=more)
        experiment = parse(text.replace("salt: shop-1", "salt: shop-1, buckets: 16"), "shop.yaml")
        held_ledger = ledger((0, 50), plan=locked_plan(experiment, meaning(experiment)))
        source = Counters(dict(zip(NAMES, errors, strict=True)), days)
        counted = gather(experiment, held_ledger, source, telemetry(experiment))
        units = gather_units(experiment, held_ledger, source.now(), by_salted_hash)
        found = judge(counted, OfUnits(experiment, units, held_ledger))
        document(found)
        return found

    return call


def test_the_primary_of_a_table_ships_within_the_margin_of_a_counter(judged) -> None:
    found = judged(effect=0.8, errors=(0.02, 0.02))
    assert found.verdict.kind == "ship", found.verdict
    assert [(r.code, r.facts["metric"]) for r in found.verdict.reasons] == [
        ("betterProven", "revenue"), ("withinMarginProven", "errors"),
    ]  # fmt: skip
    assert [m.method for m in found.metrics] == ["cuped_horizon", "ratio_horizon"]
    values = found.variants[1].values
    assert values["errors"] == pytest.approx(0.02, abs=0.002)
    assert values["revenue"] > found.variants[0].values["revenue"]


def test_harm_by_a_counter_stops_what_the_table_finds_better(judged) -> None:
    found = judged(effect=0.8, errors=(0.02, 0.05))
    assert found.verdict.kind == "stop"
    assert found.verdict.reasons[0].facts["metric"] == "errors"


def test_before_the_windows_are_over_counters_alone_have_answers(judged) -> None:
    found = judged(effect=0.8, errors=(0.02, 0.02), days=2.5)
    assert found.verdict.kind == "continue"
    revenue = found.metrics[0].comparisons[0].effect
    assert revenue.why.code == "windowsOpen"
    assert found.metrics[1].comparisons[0].effect.n[0] > 10_000


def test_a_fixed_test_of_both_is_refused() -> None:
    more = "    prometheus: {url: 'http://prometheus:9090'}"
    with pytest.raises(SpecError, match="one look at other times"):
        parse(experiment_file(REVENUE, ERRORS, test="fixed", more=more), "shop.yaml")
    parse(experiment_file(REVENUE, ERRORS, more=more), "shop.yaml")
