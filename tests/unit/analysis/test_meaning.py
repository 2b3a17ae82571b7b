"""What runs is judged as its plan was locked, whatever abctl has come to mean by the same words."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import pytest

from abctl.analysis import meaning
from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.experiment import Experiment, Source
from abctl.core.ledger import Entry, Ledger
from abctl.evidence import saved
from abctl.evidence.streams import by_buckets
from abctl.forms.ledger import ledger_of
from abctl.forms.plan import as_locked, locked_plan
from abctl.spec import load
from abctl.spec.measurement import preset_name

GOLDEN = Path(__file__).parents[2] / "golden"
FILE = load(GOLDEN / "forms_2026_11/iris.yaml")
EVIDENCE = saved.load(GOLDEN / "forms_2026_11/saved_evidence.json.gz")
FIRST = {
    "accuracy": ("ratio", "ratio_sequence"),
    "errors": ("ratio", "ratio_sequence"),
    "latency": ("quantile", "quantile_sequence"),
}
TODAY = {name: (decides, once) for name, (once, decides) in FIRST.items()} | {
    # Latency of users has come to be judged by groups of them.
    "latency": ("grouped_quantile_sequence", "grouped_quantile")
}


def earlier(folder: str) -> Ledger:
    return ledger_of(json.loads((GOLDEN / folder / "ledger.json").read_text()))


LEDGERS = pytest.mark.parametrize("folder", ["forms_2026_11", "forms_2026_11_30"])


@pytest.fixture
def other_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a later abctl meant other methods by the same words."""
    then = meaning._TODAY
    today = {"sequential": then["fixed"], "fixed": then["sequential"]}
    monkeypatch.setattr(meaning, "_TODAY", today)


def judged(experiment: Experiment) -> Mapping[str, tuple[str, str]]:
    return {m.name: meaning.methods(experiment, m) for m in experiment.metrics}


@LEDGERS
@pytest.mark.usefixtures("other_defaults")
def test_a_plan_of_an_earlier_wheel_keeps_its_methods(folder: str) -> None:
    ledger = earlier(folder)
    assert judged(as_locked(ledger, FILE)) == FIRST
    assert judged(FILE) == TODAY
    anew = Ledger(locked_plan(FILE, meaning.meaning(FILE))).with_entry(ledger.entries[0])
    assert judged(as_locked(anew, FILE)) == TODAY


def said(found: Analysis) -> list[tuple[object, ...]]:
    return [(m.method, m.polls, *(c.claims for c in m.comparisons)) for m in found.metrics]


@pytest.mark.slow
@LEDGERS
def test_evidence_of_an_earlier_wheel_is_judged_the_same(
    folder: str, request: pytest.FixtureRequest
) -> None:
    ledger = replace(EVIDENCE.ledger, plan=earlier(folder).plan)
    evidence = replace(EVIDENCE, ledger=ledger)
    before = judge(evidence)
    request.getfixturevalue("other_defaults")
    assert said(judge(evidence)) == said(before)
    assert [m.method for m in before.metrics] == [decides for _, decides in FIRST.values()]
    plan = locked_plan(evidence.experiment, meaning.meaning(evidence.experiment))
    today = judge(replace(evidence, ledger=replace(ledger, plan=plan)))
    assert [m.method for m in today.metrics] == [decides for _, decides in TODAY.values()]


def locked(*, test: str = "sequential", **said: str) -> Experiment:
    """As a plan locks it that says this of the metric accuracy."""
    file = replace(FILE, design=replace(FILE.design, test=test))
    plan = locked_plan(file, {"accuracy": said})
    return as_locked(
        Ledger(plan).with_entry(Entry(0, "ann", None, FILE.split, "", "applied")), file
    )


def test_what_is_independent_of_one_another_is_as_locked() -> None:
    accuracy, errors, _ = FILE.metrics
    by_request = locked(per="request")
    assert not by_buckets(by_request, accuracy)
    assert by_buckets(by_request, errors)
    assert meaning.methods(by_request, accuracy) == ("proportion", "proportion_sequence")
    assert by_buckets(locked(per="user"), accuracy)


def test_rates_of_users_are_of_requests_to_a_plan_that_does_not_say_it() -> None:
    rate = replace(FILE.metrics[1], kind="rate")
    today = replace(FILE, metrics=(rate,), written=None)
    assert by_buckets(today, rate)
    plan = json.loads(locked_plan(today))
    start = Entry(0, "ann", None, FILE.split, "", "applied")
    then = as_locked(Ledger(json.dumps(plan["resolved"])).with_entry(start), today)
    assert not by_buckets(then, rate)
    assert meaning.methods(then, rate) == ("rate", "rate_sequence")


def test_whose_counts_they_are_is_as_locked_unless_the_file_says_it() -> None:
    assert preset_name(locked(preset="mlserver")) == "mlserver"
    assert preset_name(locked()) == "abctl"
    named = replace(locked(preset="mlserver"), source=Source("scrape", {}, preset="envoy"))
    assert preset_name(named) == "envoy"


def test_a_plan_that_does_not_say_the_test_beside_has_the_first_abctls() -> None:
    experiment = locked(test="fixed", once="newcombe")
    assert meaning.methods(experiment, FILE.metrics[0]) == ("newcombe", "ratio")
    assert meaning.methods(experiment, FILE.metrics[1]) == ("ratio", "ratio")


@pytest.mark.parametrize("power", [0.1, 0.2])
def test_a_power_that_is_not_over_alpha_has_a_horizon_all_the_same(power: float) -> None:
    design = replace(FILE.design, test="horizon", alpha=0.2, power=power)
    found = meaning.meaning(replace(FILE, design=design))
    # That of a power of 60%, by one look, and a little for looking at any time.
    once = (NormalDist().inv_cdf(0.8) + NormalDist().inv_cdf(0.6)) ** 2
    assert once < float(found["accuracy"]["horizon"]) < 2 * once


def test_what_was_locked_says_nothing_of_another_experiment() -> None:
    ledger = earlier("forms_2026_11_30")
    assert ledger.meaning_of(FILE)["accuracy"]["test"] == "ratio_sequence"
    for other in (
        replace(FILE, written=None, metrics=FILE.metrics[:1]),
        replace(FILE, written=None, design=replace(FILE.design, test="fixed")),
        replace(FILE, written=None, assignment=replace(FILE.assignment, unit="request")),
    ):
        assert ledger.meaning_of(other) == {}
    shadowed = replace(FILE, written=None, entrance=None)
    assert ledger.meaning_of(shadowed)["errors"]["per"] == "user"
