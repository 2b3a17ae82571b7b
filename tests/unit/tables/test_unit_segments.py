"""Segments of an experiment: what tables of each segment's units alone would say, by Holm."""

import json
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from unit_tables import DAY, NAMES, REVENUE, START, experiment_file, ledger, shop

from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.analysis.meaning import meaning
from abctl.cli.main import run
from abctl.core.assignment import by_salted_hash
from abctl.forms.plan import locked_plan
from abctl.spec import parse
from abctl.stats.estimate import Estimate
from abctl.stats.srm import SrmResult
from abctl.tables.gather import gather, statements

pytestmark = pytest.mark.slow

ODD = "o'd\"d\\; DROP [red]"
SHARES = {"DE": 0.5, ODD: 0.35, "few": 0.05, None: 0.1}
METRICS = (
    REVENUE.replace("window: 7d", "window: 5d, before: 7d, cap: 95%"),
    "{name: order, role: secondary, kind: mean, of: purchase, per: outcome, window: 3d, direction: increase}",  # noqa: E501
    "{name: back, role: secondary, kind: retention, of: click, after: 2d, window: 5d, direction: increase}",  # noqa: E501
)
SHIFTS = ((0, 20), (6, 50))


def text(*, segments=True, test="horizon", metrics=METRICS):
    found = experiment_file(*metrics, test=test)
    return found.replace("at: ts}", "at: ts, segments: [country]}", 1) if segments else found


def world_of(units=1400, seed=1, shifts=SHIFTS):
    """Users of countries, who travel after they were first seen."""
    found, rng = shop(units, shifts, seed=seed, effect=0.5), np.random.default_rng(seed)
    first = found.first()
    for unit in first:
        found.countries[unit] = rng.choice(np.array(list(SHARES), object), p=[*SHARES.values()])
    for unit, _, at in found.exposures:
        if at > first[unit] and rng.random() < 0.5:
            found.countries[unit, at] = "FR"
    return found


def judged(folder, world, given, of_ledger, *, days=60, keep=None):
    world.write(folder)
    experiment = parse(given, "shop.yaml")
    now = START + days * DAY
    of_ledger = replace(of_ledger, plan=locked_plan(experiment, meaning(experiment)))
    evidence = gather(experiment, of_ledger, now, by_salted_hash, keep)
    return evidence, judge_units(OfUnits(experiment, evidence, of_ledger), now)


def alone(world, country):
    """The world of those who were first seen in a country."""
    first = world.first()
    units = {unit for unit, at in first.items() if world.country(unit, at) == country}
    return replace(
        world,
        exposures=[row for row in world.exposures if row[0] in units],
        events=[row for row in world.events if row[0] in units],
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return tmp_path


@pytest.mark.parametrize("test", ["horizon", "fixed"])
def test_a_segment_is_what_its_units_alone_would_be(here, test) -> None:
    metrics = [METRICS[0].replace("95%", "60"), *METRICS[1:]]  # a share is of all units
    world = world_of()
    of_ledger = ledger(*SHIFTS)
    _, found = judged(here, world, text(test=test, metrics=metrics), of_ledger)
    segments = {each.value: each for each in found.segments}
    assert list(segments) == ["DE", ODD, "few", None]
    assert segments["few"].few
    own = {}
    for country in ("DE", ODD):
        segment = segments[country]
        mine = alone(world, country)
        given = text(segments=False, test=test, metrics=metrics)
        _, own[country] = judged(here, mine, given, of_ledger)
        assert isinstance(segment.split, SrmResult)
        assert segment.split.p == pytest.approx(own[country].srm.p, rel=1e-9)
        assert segment.units == own[country].srm.observed
        for effect, metric in zip(segment.effects, own[country].metrics, strict=True):
            theirs = metric.comparisons[0].effect
            assert isinstance(effect.result, Estimate)
            assert effect.metric == metric.name
            assert effect.result.effect == pytest.approx(theirs.effect, rel=1e-9)
            assert effect.result.n == theirs.n
            if test == "fixed":
                assert effect.result.p == pytest.approx(theirs.p, rel=1e-6)
    judged_now = [each for each in segments.values() if not each.few]
    waiting = [1.0] * (0 if test == "fixed" else len(segments) - len(judged_now))
    p = [each.split.p for each in judged_now]
    wanted = multipletests([*p, *waiting], method="holm")[1][: len(p)]
    assert [each.p_adjusted for each in judged_now] == pytest.approx(list(wanted), rel=1e-9)


def test_they_change_no_verdict_but_where_a_split_is_wrong(here) -> None:
    world, of_ledger = world_of(2000, seed=2), ledger(*SHIFTS)
    _, plain = judged(here, world, text(segments=False), of_ledger)
    _, found = judged(here, world, text(), of_ledger)
    assert found.verdict.kind == plain.verdict.kind
    assert [r.code for r in found.verdict.reasons] == [r.code for r in plain.verdict.reasons]
    # One country loses half of the treatment's users, and another has as many more.
    arms = {unit: arm for unit, arm, _ in world.exposures}
    lost = [u for u, at in world.first().items() if world.country(u, at) == ODD]
    for unit in [unit for unit in lost if arms[unit] == NAMES[1]][::2]:
        for key in [key for key in world.countries if unit in (key, key[0])]:
            world.countries[key] = "DE"
    _, moved = judged(here, world, text(), of_ledger)
    assert moved.verdict.kind == "invalid"
    assert [r.code for r in moved.verdict.reasons] == ["segmentMismatch"]
    assert moved.verdict.reasons[0].facts["value"] == ODD


def test_first_exposures_that_contradict_each_other_are_in_no_segment(here) -> None:
    world = world_of(600, seed=3, shifts=((0, 50),))
    first = dict(list(world.first().items())[:30])
    both = [unit for unit, at in first.items() if world.country(unit, at) is not None]
    world.write(here)
    rows = (here / "exposures.csv").read_text(encoding="utf-8").splitlines()
    again = [row for row in rows[1:] if row.split(",")[0] in both]
    for row in again:
        rows.append(",".join([*row.split(",")[:3], "XX"]))
    rows += [",".join([*row.split(",")[:3], ""]) for row in again]  # empty is no other value
    path = here / "exposures.csv"
    experiment = parse(text(), "shop.yaml")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    evidence = gather(experiment, None, START + 60 * DAY, by_salted_hash)
    found = judge_units(OfUnits(experiment, evidence, None), START + 60 * DAY)
    notes = {note.code: note.facts for note in found.notes}
    assert notes["segmentsSeveral"]["units_count"] == len(both)
    units = sum(sum(each.units) for each in found.segments)
    assert units + len(both) == len(world.first())
    assert "XX" not in [each.value for each in found.segments if sum(each.units)]


def test_closed_days_are_kept_by_segments_as_well(here) -> None:
    world, of_ledger = world_of(seed=4), ledger(*SHIFTS)
    keep = here / "kept"
    for days in (9, 13, 60):
        now = START + days * DAY
        seen = replace(
            world,
            exposures=[row for row in world.exposures if row[2] < now],
            events=[row for row in world.events if row[1] < now],
        )
        mine, found = judged(here, seen, text(), of_ledger, days=days, keep=keep)
        _, whole = judged(here, seen, text(), of_ledger, days=days)
        told = {each.value: each for each in whole.segments}
        assert {each.value: each.units for each in found.segments if sum(each.units)} == {
            value: each.units for value, each in told.items() if sum(each.units)
        }
        for each in found.segments:
            for one, other in zip(each.effects, told[each.value].effects, strict=True):
                if isinstance(one.result, Estimate) and isinstance(other.result, Estimate):
                    assert one.result.effect == pytest.approx(other.result.effect, rel=1e-9)
    assert mine.asked.first_from is not None


def test_the_command_shows_saves_and_explains_them(here, capsys) -> None:
    world = world_of(900, seed=5)
    world.write(here)
    (here / "shop.yaml").write_text(text(test="fixed"), encoding="utf-8")
    assert run(["analyze", "shop.yaml", "--save", "e.json.gz"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "revenue by segment (decides nothing; P and intervals by Holm):" in said
    assert "country=DE" in said
    assert run(["analyze", "shop.yaml", "-o", "json"]) == 0
    now = json.loads(capsys.readouterr().out)["segments"]
    assert run(["analyze", "--from", "e.json.gz", "-o", "json"]) == 0
    then = json.loads(capsys.readouterr().out)["segments"]
    assert [each["units"] for each in then] == [each["units"] for each in now]
    one, other = (
        [e["result"].get("effect") for s in each for e in s["effects"]] for each in (now, then)
    )
    assert one == pytest.approx(other, rel=1e-9)
    experiment = parse(text(), "shop.yaml")
    asked = statements(experiment, ledger(*SHIFTS), START + 60 * DAY, by_salted_hash)
    assert any("segment_text" in each for each in asked)
