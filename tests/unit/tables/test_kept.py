"""Closed days are kept: what a look says is what it would say of everything, but for late rows."""

from dataclasses import replace

import numpy as np
import pytest
from unit_tables import DAY, REVENUE, START, experiment_file, ledger, shop

from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.core.assignment import by_salted_hash
from abctl.forms.document import document
from abctl.spec import parse
from abctl.tables import warehouse_sql
from abctl.tables.gather import gather, statements

pytestmark = pytest.mark.slow

METRICS = (
    REVENUE.replace("window: 7d", "window: 5d, before: 7d, cap: 95%"),
    "{name: order, role: secondary, kind: mean, of: purchase, per: outcome, window: 3d, direction: increase}",  # noqa: E501
    "{name: clicks, role: secondary, kind: rate, of: click, window: 3d, direction: increase}",
)
SHIFTS = ((0, 10), (6, 50))
TEXT = experiment_file(*METRICS, more="      late: 12h")


@pytest.fixture
def look(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def at(world, days, *, keep=True, shifts=SHIFTS, text=TEXT):
        world.write(tmp_path)
        experiment, of_ledger = parse(text, "shop.yaml"), ledger(*shifts)
        now = START + days * DAY
        folder = tmp_path / "kept" if keep else None
        evidence = gather(experiment, of_ledger, now, by_salted_hash, folder)
        return evidence, judge_units(OfUnits(experiment, evidence, of_ledger), now)

    return at


def seen_by(world, days):
    """What is there so many days after the start."""
    now = START + days * DAY
    exposures = [row for row in world.exposures if row[2] < now]
    return replace(world, exposures=exposures, events=[r for r in world.events if r[1] < now])


def numbers(found):
    """But for the order in which threads add up."""
    told = document(found)
    effects = [
        comparison["effect"]
        for metric in told["metrics"]
        for comparison in metric["comparisons"]
        if "effect" in comparison["effect"]
    ]
    rows = [each["requests"] for each in told["variants"]]
    flat = [n for e in effects for n in (*e["n"], e["control"], e["effect"], *e["interval"])]
    values = [n for v in told["variants"] for n in v["values"].values() if n is not None]
    return np.array([*rows, *values, *flat], dtype=float)


def test_looks_that_keep_days_say_what_looks_at_everything_say(look, tmp_path) -> None:
    world = shop(700, SHIFTS, days=12, visits=4, seed=5)
    world.events += [row for row in world.events if row[2] == "click"][:40]
    for days in (9.3, 19.0, 25.0):
        there = seen_by(world, days)
        evidence, found = look(there, days)
        whole, wanted = look(there, days, keep=False)
        assert numbers(found) == pytest.approx(numbers(wanted), rel=1e-9)
        assert [n.code for n in found.notes] == [n.code for n in wanted.notes]
        assert evidence.events.keys() == whole.events.keys()
        assert all(evidence.events[name] == each for name, each in whole.events.items() if name)
        assert found.srm.observed == pytest.approx(wanted.srm.observed)
    assert evidence.asked.first_from == START + 13 * DAY
    assert evidence.changed == ()
    assert "HAVING" in warehouse_sql.unit_rows(evidence.asked)
    asked = parse(TEXT, "shop.yaml"), ledger(*SHIFTS), START + 25 * DAY, by_salted_hash
    assert "HAVING" in statements(*asked, tmp_path / "kept")[-1]


def test_rows_that_come_after_a_day_has_closed_change_nothing_and_are_told(look) -> None:
    world = shop(500, ((0, 50),), days=8)
    there = seen_by(world, 15)
    look(there, 15, shifts=((0, 50),))
    _, before = look(there, 15.01, shifts=((0, 50),))
    unit, first = min(world.first().items(), key=lambda each: each[1])
    late = [(unit, first + 60.0, "purchase", 1e6), (unit, first + 61.0, "purchase", 1e6)]
    changed = replace(there, events=[*there.events, *late])
    evidence, found = look(changed, 15.02, shifts=((0, 50),))
    assert numbers(found) == pytest.approx(numbers(before), rel=1e-9)
    told = [n.facts for n in found.notes if n.code == "closedDaysChanged"]
    day = "2026-10-01"
    assert told == [{"table": "purchase", "rows_count": 2, "days_count": 1, "first": day}]
    # One that went, and one whose value is another one, in the next look as in this.
    rows = [(u, at, what, 7.0 if i == 5 else v) for i, (u, at, what, v) in enumerate(there.events)]
    spoilt = replace(there, events=rows, exposures=there.exposures[1:])
    for days in (15.03, 15.04):
        _, found = look(spoilt, days, shifts=((0, 50),))
        told = {n.facts["table"]: n.facts["rows_count"] for n in found.notes
                if n.code == "closedDaysChanged"}  # fmt: skip
        assert told == {"exposures": -1, there.events[5][2]: 0}
        assert numbers(found)[2:] == pytest.approx(numbers(before)[2:], rel=1e-9)
    assert evidence.caps == look(there, 15, shifts=((0, 50),))[0].caps


def test_another_question_or_another_past_reads_all_days_anew(look, tmp_path) -> None:
    world = shop(400, SHIFTS, days=10, visits=4)
    there = seen_by(world, 16)
    look(there, 16)
    assert look(there, 16)[0].asked.first_from is not None
    other = look(there, 16, text=TEXT.replace("window: 5d", "window: 4d"))[0]
    assert other.asked.first_from is None
    moved = ((0, 10), (5, 50))
    evidence, found = look(there, 16, shifts=moved)
    assert evidence.asked.first_from is None
    wanted = look(there, 16, keep=False, shifts=moved)[1]
    assert numbers(found) == pytest.approx(numbers(wanted), rel=1e-9)
    assert look(there, 16, shifts=moved)[0].asked.first_from is not None
    for each in (tmp_path / "kept").iterdir():
        each.write_text("{")
    assert look(there, 16)[0].asked.first_from is None


def test_an_interrupted_look_leaves_what_is_kept_as_it_was(look, tmp_path) -> None:
    world = shop(200, SHIFTS, days=12, seed=6)
    look(seen_by(world, 14.0), 14.0)
    (kept,) = (tmp_path / "kept").iterdir()
    before = kept.read_bytes()
    world.write(tmp_path)
    given = parse(TEXT, "shop.yaml"), ledger(*SHIFTS), START + 30 * DAY, by_salted_hash

    for late in (5, 2, 1, 0):

        def interrupted(done: int, total: int, late: int = late) -> None:
            if done >= total - 100 * late:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            gather(*given, kept.parent, told=interrupted)
        assert kept.read_bytes() == before
        assert list(kept.parent.iterdir()) == [kept]
    gather(*given, kept.parent)
    assert kept.read_bytes() != before
