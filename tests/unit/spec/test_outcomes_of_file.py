"""Outcomes in an experiment file: what is read, and what is refused with its place."""

import pytest

from abctl.core.collector import Place, settings
from abctl.core.outcome import Outcome
from abctl.core.server import environment
from abctl.errors import SpecError
from abctl.simulate._traffic import outcomes as simulated
from abctl.spec import parse
from abctl.spec.init import starter

OUTCOMES = """  outcomes:
    - {name: accuracy, kind: binary, maturity: 2h}
    - {name: spent, kind: number, times: many, maturity: 2h, window: 1h}
"""
TEXT = starter("iris", "envoy").replace("spec:\n", f"spec:\n{OUTCOMES}", 1)


def test_an_outcome_says_how_late_its_metric_is() -> None:
    experiment = parse(TEXT, "iris.yaml")
    assert experiment.outcomes == (
        Outcome("accuracy", "binary", maturity_seconds=7200.0),
        Outcome("spent", "number", "many", maturity_seconds=7200.0, window_seconds=3600.0),
    )
    late = {metric.name: metric.maturity_seconds for metric in experiment.metrics}
    assert late == {"accuracy": 7200.0, "errors": 0.0, "latency": 0.0}


MORE = """  outcomes:
    - {name: order, kind: binary, maturity: 1d, early: [1h, 6h]}
    - {name: spent, kind: number, times: many, maturity: 1d, early: [1h, 6h], cap: 500}
    - {name: back, kind: return, maturity: 2d, window: 36h}
  metrics:
    - {name: orders, role: primary, kind: proportion, of: order, per: user, MORE, mde: 1pp}
    - {name: basket, role: secondary, kind: ratio, of: spent, over: order, MORE, age: 6h}
    - {name: retained, role: secondary, kind: retention, of: back, MORE}
    - {name: pace, role: secondary, kind: rate, of: order, per: request, MORE}
""".replace("MORE", "direction: increase")
STARTER = starter("iris", "envoy")
_HEAD, _REST = STARTER.split("  metrics:\n")
WHOLE = _HEAD.replace("spec:\n", f"spec:\n{MORE}", 1) + _REST[_REST.index("  design:") :]


def test_each_early_age_is_a_look_that_decides_nothing() -> None:
    experiment = parse(WHOLE, "iris.yaml")
    found = {m.name: (m.role, m.maturity_seconds, m.age_seconds) for m in experiment.metrics}
    assert found == {
        "orders": ("primary", 86_400.0, None),
        "orders@1h": ("secondary", 3600.0, 3600.0),
        "orders@6h": ("secondary", 21_600.0, 21_600.0),
        # The file says that this age decides, so it is no look.
        "basket": ("secondary", 21_600.0, 21_600.0),
        "retained": ("secondary", 172_800.0, None),
        "pace": ("secondary", 86_400.0, None),
        "pace@1h": ("secondary", 3600.0, 3600.0),
        "pace@6h": ("secondary", 21_600.0, 21_600.0),
    }
    assert [m.per for m in experiment.metrics if m.name == "retained"] == ["user"]
    assert experiment.outcomes[2] == Outcome(
        "back", "return", "once", 172_800.0, 129_600.0, after_seconds=86_400.0
    )


def test_the_collector_is_told_of_every_age() -> None:
    told = settings(parse(WHOLE, "iris.yaml"), Place("keys", "memory", "127.0.0.1", 1))
    counted = {each["name"]: each for each in told["outcomes"]}
    assert list(counted) == [
        "order", "order@3600s", "order@21600s", "spent", "spent@3600s", "spent@21600s", "back",
    ]  # fmt: skip
    assert counted["spent@3600s"] == {
        "name": "spent@3600s", "of": "spent", "kind": "number", "times": "many", "cap": 500.0,
        "maturitySeconds": 3600.0, "windowSeconds": 3600.0, "per": ["outcome"],
    }  # fmt: skip
    assert (counted["back"]["per"], counted["back"]["afterSeconds"]) == (["user"], 86_400.0)


def test_a_return_is_reported_by_nobody_and_what_a_ratio_is_over_is() -> None:
    experiment = parse(WHOLE.replace("kind: rate, of: order", "kind: mean, of: spent"), "iris.yaml")
    assert environment(experiment, "control")["AB_OUTCOMES"] == "order,spent"
    assert [each.name for each in simulated(experiment)] == ["order", "spent"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("early: [1h, 6h]}", "early: [6h, 1h]}", "outcomes[0].early"),
        ("early: [1h, 6h]}", "early: [1h, 1d]}", "outcomes[0].early"),
        ("cap: 500", "cap: 99.9%", "outcomes[1].cap"),
        ("cap: 500", "cap: 0", "outcomes[1].cap"),
        ("kind: number, times", "kind: binary, times", "outcomes[1].cap"),
        ("window: 36h", "window: 1d", "outcomes[2].after"),
        ("window: 36h", "after: 3d", "outcomes[2].after"),
        ("window: 36h", "early: [1h]", "outcomes[2].early"),
        ("kind: return, ", "kind: binary, after: 1d, ", "outcomes[2].after"),
        ("kind: ratio", "kind: mean", "metrics[1].over"),
        (", over: order", "", "metrics[1].over"),
        ("over: order", "over: orders", "metrics[1].over"),
        ("over: order", "over: back", "metrics[1].over"),
        ("over: order", "over: order, per: request", "metrics[1].per"),
        (
            "kind: number, times: many, maturity: 1d",
            "kind: number, maturity: 2d",
            "metrics[1].over",
        ),
        ("age: 6h", "age: 2h", "metrics[1].age"),
        ("of: back", "of: order", "metrics[2].kind"),
        ("of: back", "of: back, per: request", "metrics[2].per"),
        ("of: back", "of: away", "metrics[2].per"),
        ("kind: rate, of: order", "kind: mean, of: back", "metrics[3].kind"),
        ("kind: rate, of: order", "kind: rate, of: spent", "metrics[3].kind"),
        ("rate, of: order, per: request", "rate, of: order, per: user", "metrics[3].per"),
    ],
)
def test_every_rule_of_the_grammar_has_its_place(old: str, new: str, place: str) -> None:
    _refuse(WHOLE, old, new, place)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("maturity: 2h}", "maturity: 0}", "outcomes[0].maturity"),
        ("maturity: 2h}", "maturity: 30d}", "outcomes[0].maturity"),
        ("window: 1h", "window: 3h", "outcomes[1].window"),
        ("window: 1h", "window: 0", "outcomes[1].window"),
        ("name: spent", "name: accuracy", "outcomes[1].name"),
        ("name: spent", "name: errors", "outcomes[1].name"),
        ("kind: binary, ", "kind: text, ", "outcomes[0].kind"),
        ("kind: binary, ", "", "outcomes[0].kind"),
        ("kind: binary, ", "kind: number, ", "metrics[0].kind"),
        ("of: errors, ", "of: errors, per: user, ", "metrics[1].per"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(old: str, new: str, place: str) -> None:
    _refuse(TEXT, old, new, place)


def _refuse(text: str, old: str, new: str, place: str) -> None:
    assert old in text
    with pytest.raises(SpecError) as refused:
        parse(text.replace(old, new, 1), "iris.yaml")
    assert place in refused.value.message
