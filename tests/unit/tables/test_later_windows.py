"""Metrics that count from some time after the first exposure on: who comes back, and what stays."""

import numpy as np
import pytest
from unit_tables import DAY, REVENUE, START, experiment_file, ledger, shop

from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.core.assignment import by_salted_hash
from abctl.errors import SpecError
from abctl.spec import parse
from abctl.stats.estimate import Estimate
from abctl.tables.gather import gather

BACK = "{name: back, role: primary, kind: retention, of: click, after: 7d, window: 14d, direction: increase, mde: 5pp}"  # noqa: E501
LATER = "{name: later, role: secondary, kind: mean, of: purchase, per: user, after: 7d, window: 14d, before: 14d, direction: increase}"  # noqa: E501
RIGHT = "{name: right, role: secondary, kind: proportion, of: click, per: outcome, after: 1d, window: 2d, direction: increase}"  # noqa: E501


def judged(here, world, *metrics, of_ledger=None, test="fixed"):
    world.write(here)
    text = experiment_file(*metrics, test=test).replace(
        "exposures.csv", str(here / "exposures.csv")
    )
    experiment = parse(text.replace("events.csv", str(here / "events.csv")), "shop.yaml")
    evidence = gather(experiment, of_ledger, START + 60 * DAY, by_salted_hash)
    return judge_units(OfUnits(experiment, evidence, of_ledger), START + 60 * DAY)


def of(found, name):
    (metric,) = (each for each in found.metrics if each.name == name)
    return metric, metric.comparisons[0].effect


def late(world, name):
    """Of each unit what it did from day 7 to 14: values, as Python counts them."""
    first, done = world.first(), {}
    for unit, at, what, value in world.events:
        if unit in first and what == name and 7 * DAY <= at - first[unit] < 14 * DAY:
            done.setdefault(unit, []).append(value)
    return first, done


@pytest.mark.slow
def test_who_comes_back_is_counted_from_then_on_and_whatever_the_value(tmp_path) -> None:
    world = shop(400, seed=3)
    first = world.first()
    arms = {unit: arm for unit, arm, _ in world.exposures}
    for i, unit in enumerate(list(first)[:90]):  # edges; and values that are none, or 0
        at = first[unit] + (7 * DAY, 14 * DAY, 10 * DAY)[i % 3]
        world.events.append((unit, at, "click", (0, float("nan"), None)[i % 3]))
    world.events += [world.events[-1]] * 4
    found = judged(tmp_path, world, BACK)
    metric, effect = of(found, "back")
    _, came = late(world, "click")
    for arm, value, n in zip(
        ("control", "treatment"), (effect.control, effect.treatment), effect.n, strict=True
    ):
        units = [unit for unit in first if arms[unit] == arm]
        assert n == len(units)
        assert value == pytest.approx(np.mean([unit in came for unit in units]), rel=1e-12)
    assert metric.unit == "share"
    assert metric.remarks[0].text.startswith("what a unit did from 7d to 14d after")
    assert found.variants[0].values["back"] == effect.control


@pytest.mark.slow
def test_a_later_window_of_any_kind_counts_what_is_in_it_alone(tmp_path) -> None:
    world = shop(500, seed=4)
    found = judged(tmp_path, world, REVENUE, LATER, RIGHT)
    first, spent = late(world, "purchase")
    arms = {unit: arm for unit, arm, _ in world.exposures}
    control = [sum(spent.get(unit, ())) for unit in first if arms[unit] == "control"]
    assert found.variants[0].values["later"] == pytest.approx(np.mean(control), rel=1e-9)
    assert isinstance(of(found, "right")[1], Estimate)


@pytest.mark.slow
@pytest.mark.parametrize("test", ["horizon", "sequential"])
def test_it_is_judged_at_any_time_and_without_whom_a_shift_moves(tmp_path, test) -> None:
    world = shop(800, ((0, 20), (5, 50)), seed=5)
    found = judged(tmp_path, world, BACK, of_ledger=ledger((0, 20), (5, 50)), test=test)
    metric, effect = of(found, "back")
    assert metric.method.startswith("proportion")
    assert isinstance(effect, Estimate)
    assert sum(effect.n) < 800
    assert "unitsMoved" in [note.code for note in found.notes]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("after: 7d, ", ""), "after in shop.yaml: is missing"),
        (
            ("after: 7d", "after: 14d"),
            "after in shop.yaml: 14d, must be above 0 and below the window",
        ),
        (("after: 7d", "after: 0d"), "must be above 0"),
        (("of: click", "of: click, per: outcome"), "retention of a table is of units"),
        (("of: click", "of: click, cap: 3"), "cap"),
        (("window: 14d, ", ""), "after"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, says) -> None:
    with pytest.raises(SpecError) as error:
        parse(experiment_file(BACK.replace(*change)), "shop.yaml")
    assert says in str(error.value)
