"""The ramp of an experiment file: its defaults, its mistakes, and that the plan locks it."""

from dataclasses import replace
from pathlib import Path

import pytest

from abctl.core.ledger import Entry, Ledger
from abctl.core.ramp import Budget, Ramp
from abctl.errors import SpecError
from abctl.forms.plan import as_locked, locked_plan
from abctl.spec import parse
from abctl.spec.lint import warnings

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
WHOLE = (
    "{steps: [1%, 10%, 50%], hold: 2h, gate: [50%, promote], onHarm: pause, onShip: promote, "
    "floor: 10%, maxStep: 40%, budget: 300 errors}"
)


def with_ramp(ramp: str, text: str = EXPERIMENT) -> str:
    return text.replace("  design: {", f"  ramp: {ramp}\n  design: {{")


def test_every_key_is_read() -> None:
    assert parse(with_ramp(WHOLE), "iris.yaml").ramp == Ramp(
        (100, 1000, 5000),
        7200.0,
        ("50%", "promote"),
        "pause",
        "promote",
        1000,
        4000,
        Budget("errors", 300.0),
    )


def test_what_is_left_out_has_a_default() -> None:
    ramp = parse(with_ramp("{}"), "iris.yaml").ramp
    assert ramp == Ramp((100, 500, 1000, 2500, 5000))
    assert ramp is not None
    assert (ramp.floor_bp, ramp.last_bp, ramp.gates, ramp.on_ship) == (100, 5000, (), "pause")


def test_without_a_ramp_there_is_none() -> None:
    assert parse(EXPERIMENT, "iris.yaml").ramp is None


@pytest.mark.parametrize(
    ("ramp", "place", "said"),
    [
        ("{steps: [5%, 1%]}", "ramp.steps[1]", "1% after 5%, must be larger"),
        ("{steps: [5%, 5%]}", "ramp.steps[1]", "5% after 5%, must be larger"),
        ("{steps: [0, 5%]}", "ramp.steps[0]", "0%, must be above 0%"),
        ("{steps: [50%, 100%]}", "ramp.steps[1]", "leaves the control nothing"),
        ("{floor: 7%}", "ramp.floor", "7% is no step"),
        ("{gate: [7%]}", "ramp.gate[0]", "7% is no step"),
        ("{gate: [ship]}", "ramp.gate[0]", "'ship'"),
        ("{maxStep: 10%}", "ramp.maxStep", "two steps are 25% apart"),
        ("{budget: 300}", "ramp.budget", "must be a number and a metric"),
        ("{budget: 300 p95}", "ramp.budget", "p95 is a quantile"),
        ("{budget: 300 error}", "ramp.budget", "no primary or guardrail 'error'"),
        ("{budget: 0 errors}", "ramp.budget", "must be above 0"),
        ("{onHarm: stop}", "ramp.onHarm", "must be rollback or pause"),
        ("{share: 5%}", "ramp.share", "unknown key"),
    ],
)
def test_a_mistake_has_its_place(ramp: str, place: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(with_ramp(ramp), "iris.yaml")
    assert place in error.value.message
    assert said in error.value.message


def test_one_look_at_the_end_allows_no_ramp() -> None:
    text = EXPERIMENT.replace("test: sequential", "test: fixed")
    with pytest.raises(SpecError, match="test: fixed allows one look"):
        parse(with_ramp("{}", text), "iris.yaml")


def test_how_bad_a_primary_may_be_is_needed() -> None:
    text = EXPERIMENT.replace(", mde: 2pp", "")
    parse(text, "iris.yaml")
    with pytest.raises(SpecError, match=r"metrics\[0\].mde"):
        parse(with_ramp("{}", text), "iris.yaml")


def test_three_treatments_leave_the_control_a_share() -> None:
    third = "    - {name: other, split: 10%, model: {name: iris, version: v3}}\n  metrics:"
    text = EXPERIMENT.replace("split: 70%", "split: 60%").replace("  metrics:", third)
    found = parse(with_ramp("{}", text), "iris.yaml").ramp
    assert found is not None
    assert found.last_bp == 3333
    with pytest.raises(SpecError, match="50% of each of 2 treatments leaves the control nothing"):
        parse(with_ramp("{steps: [1%, 50%]}", text), "iris.yaml")


def test_a_ramp_is_locked_with_the_plan() -> None:
    experiment = parse(with_ramp(WHOLE), "iris.yaml")
    start = Entry(0.0, "ann", None, experiment.split, "start", "applied")
    ledger = Ledger(locked_plan(experiment)).with_entry(start)
    assert ledger.changed_since(experiment) == ()
    assert as_locked(ledger, replace(experiment, written=None)).ramp == experiment.ramp
    faster = parse(with_ramp(WHOLE.replace("2h", "1h")), "iris.yaml")
    assert ledger.changed_since(faster) == ("ramp",)
    assert ledger.changed_since(parse(EXPERIMENT, "iris.yaml")) == ("ramp",)


def test_a_plan_of_before_has_none() -> None:
    experiment = parse(EXPERIMENT, "iris.yaml")
    assert '"ramp"' not in locked_plan(experiment)


def test_what_a_ramp_does_not_bound_is_told() -> None:
    said = "\n".join(warnings(parse(with_ramp("{}"), "iris.yaml")))
    assert "treatment starts at 30%, above the floor of 1%" in said
    assert "p95 is a quantile" in said
    assert "ramp" not in "\n".join(warnings(parse(EXPERIMENT, "iris.yaml")))
