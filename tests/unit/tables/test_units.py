"""Experiments whose metrics are of tables: the whole way, against Python and tea-tasting."""

import json
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import tea_tasting as tt
from unit_tables import DAY, NAMES, REVENUE, START, experiment_file, ledger, moment, shop, split

from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.analysis.meaning import meaning
from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.assignment import by_salted_hash, point, variant_at
from abctl.core.split import Split
from abctl.errors import SourceError
from abctl.forms.ledger import new_object, with_ledger
from abctl.forms.plan import as_locked, locked_plan
from abctl.platforms import platform
from abctl.spec import parse
from abctl.stats.estimate import Estimate
from abctl.tables.gather import gather

pytestmark = pytest.mark.slow

WEEK = 7 * DAY
BUYERS = "{name: buyers, role: secondary, kind: proportion, of: purchase, per: user, window: 7d, direction: increase}"  # noqa: E501
METRICS = (
    REVENUE,
    "{name: capped, role: secondary, kind: mean, of: purchase, per: user, cap: 60, window: 7d, direction: increase}",  # noqa: E501
    BUYERS,
    "{name: before, role: secondary, kind: mean, of: purchase, per: user, window: 7d, before: 21d, direction: increase}",  # noqa: E501
    "{name: order, role: secondary, kind: mean, of: purchase, per: outcome, window: 7d, direction: increase}",  # noqa: E501
    "{name: orderBefore, role: secondary, kind: mean, of: purchase, per: outcome, window: 7d, before: 21d, direction: increase}",  # noqa: E501
    "{name: right, role: secondary, kind: proportion, of: click, per: outcome, window: 7d, direction: increase}",  # noqa: E501
    "{name: spentPerHit, role: secondary, kind: ratio, of: purchase, over: click, window: 7d, direction: increase}",  # noqa: E501
    "{name: clicks, role: secondary, kind: rate, of: click, window: 3d, direction: increase}",
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return tmp_path


@pytest.fixture
def analyze(here, capsys):
    def call(world, text, *words, code=None):
        world.write(here)
        (here / "shop.yaml").write_text(text, encoding="utf-8")
        returned = run(["analyze", "shop.yaml", "-o", "json", "--exit-code", *words])
        out, err = capsys.readouterr()
        if code is not None:
            assert returned == code, err
            return err
        found = json.loads(out)
        kinds = {"ship": 0, "continue": 10, "stop": 11, "invalid": 12}
        assert returned == kinds[found["verdict"]["kind"]], err
        return found

    return call


def judged(here, world, text, of_ledger, days):
    """As `abctl analyze` does, with a ledger, so many days after the start."""
    world.write(here)
    experiment, now = parse(text, "shop.yaml"), START + days * DAY
    if of_ledger is not None:
        of_ledger = replace(of_ledger, plan=locked_plan(experiment, meaning(experiment)))
    evidence = gather(experiment, of_ledger, now, by_salted_hash)
    of_units = OfUnits(experiment, evidence, of_ledger)
    return of_units, judge_units(of_units, now)


def effect(found, name):
    metric = next(each for each in found["metrics"] if each["name"] == name)
    return metric["comparisons"][0]["effect"]


def approx_interval(found, name):
    """But for the order in which threads add up."""
    return pytest.approx(effect(found, name)["interval"], rel=1e-9)


def codes(found):
    return [each["code"] for each in found["noteCodes"]]


def arms_of(world):
    return {unit: int(arm == "treatment") for unit, arm, _ in world.exposures}


def test_each_kind_of_metric_is_tea_tastings(analyze) -> None:
    world = shop(effect=0.2)
    found = analyze(world, experiment_file(*METRICS, test="fixed"))
    arms, users = arms_of(world), list(world.first())
    bought, clicked = (world.per_unit(n, WEEK, 3 * WEEK) for n in ("purchase", "click"))
    short = world.per_unit("click", 3 * DAY)
    table = pa.table(
        {
            "variant": [arms[u] for u in users],
            "spent": [bought[u][0] for u in users],
            "capped": [min(bought[u][0], 60.0) for u in users],
            "any": [float(bought[u][1] > 0) for u in users],
            "orders": [float(bought[u][1]) for u in users],
            "spentBefore": [bought[u][2] for u in users],
            "ordersBefore": [float(bought[u][3]) for u in users],
            "right": [float(clicked[u][0]) for u in users],
            "clicks": [float(clicked[u][1]) for u in users],
            "short": [float(short[u][1]) for u in users],
        }
    )
    welch = {"equal_var": False, "use_t": True}
    wanted = tt.Experiment(
        revenue=tt.Mean("spent", **welch),
        capped=tt.Mean("capped", **welch),
        before=tt.Mean("spent", "spentBefore", **welch),
        order=tt.RatioOfMeans("spent", "orders", **welch),
        orderBefore=tt.RatioOfMeans("spent", "orders", "spentBefore", "ordersBefore", **welch),
        right=tt.RatioOfMeans("right", "clicks", **welch),
        spentPerHit=tt.RatioOfMeans("spent", "right", **welch),
        clicks=tt.Mean("short", **welch),
    ).analyze(table)
    for name in ("revenue", "capped", "order", "right", "spentPerHit", "clicks"):
        mine, theirs = effect(found, name), wanted[name]
        assert mine["control"] == pytest.approx(theirs.control, rel=1e-9), name
        assert mine["effect"] == pytest.approx(theirs.effect_size, rel=1e-8), name
        assert mine["p"] == pytest.approx(theirs.pvalue, rel=1e-6), name
        ends = theirs.effect_size_ci_lower, theirs.effect_size_ci_upper
        assert mine["interval"] == pytest.approx(ends, rel=1e-7), name
    # Its slope is that of both variants together, this one's of each around its own mean: they
    # differ by what the variants differ. What it prints has three digits.
    for name in ("before", "orderBefore"):
        mine, theirs = effect(found, name), wanted[name]
        width = theirs.effect_size_ci_upper - theirs.effect_size_ci_lower
        ends = theirs.effect_size_ci_lower, theirs.effect_size_ci_upper
        assert mine["effect"] == pytest.approx(theirs.effect_size, abs=0.005 * width), name
        assert mine["interval"] == pytest.approx(ends, abs=0.005 * width), name
        assert mine["noteCodes"][0]["code"] == "varianceReduced"
    buyers = effect(found, "buyers")
    for side, arm in (("control", 0), ("treatment", 1)):
        users_of = [u for u in users if arms[u] == arm]
        assert buyers[side] == pytest.approx(np.mean([bought[u][1] > 0 for u in users_of]))
    assert "noLedger" in codes(found)
    assert found["srm"]["observed"] == [
        len(users) - sum(arms[u] for u in users),
        sum(arms.values()),
    ]


def test_any_time_a_day_counts_when_its_windows_are_over(here) -> None:
    world = shop(1500, effect=0.3)
    text = experiment_file(*METRICS, more="      late: 1d")
    first, bought = world.first(), world.per_unit("purchase", WEEK)
    for days in (3, 8, 9, 12, 30):
        of_units, found = judged(here, world, text, ledger((0, 50)), days)
        revenue = found.metrics[0]
        through = days - 8  # a window of 7 days, and a day for rows that are late
        counted = [u for u, at in first.items() if 60 <= at - START < through * DAY]
        if through < 1:
            assert revenue.comparisons[0].effect.why.code == "windowsOpen"
            continue
        assert revenue.polls == min(through, 14)
        mine = revenue.comparisons[0].effect
        for k, name in enumerate(NAMES):
            users = [u for u in counted if variant_at(split(50), point("shop-1", u)) == name]
            assert of_units.streams.value(0, k) == pytest.approx(
                np.mean([bought[u][0] for u in users])
            )
            if isinstance(mine, Estimate):
                assert mine.n[k] == len(users)
    assert {m.method for m in found.metrics} == {
        "mean_horizon", "mean_sequence", "proportion_sequence", "cuped_sequence",
        "ratio_sequence", "cuped_ratio_sequence",
    }  # fmt: skip
    assert all(isinstance(m.comparisons[0].effect, Estimate) for m in found.metrics)


def test_a_shift_leaves_out_the_regions_that_it_moves_and_nothing_by_what_was_seen(here) -> None:
    """Users who return are seen with both variants, and buy more: dropping them is biased."""
    shifts = ((0, 10), (10, 50))
    world = shop(4000, shifts, days=20, visits=6, drift=0.05)
    text = experiment_file(BUYERS.replace("secondary", "primary"))
    of_units, found = judged(here, world, text, ledger(*shifts), 40)
    first, bought = world.first(), world.per_unit("purchase", WEEK)
    tenth, half = split(10), split(50)

    wanted = {name: [0, 0] for name in NAMES}
    moved = 0
    for unit, at in first.items():
        day, place = int((at - START) // DAY), point("shop-1", unit)
        if not 60 <= at - START < 10 * DAY and not at - START >= 10 * DAY + 60:
            continue  # design.settle
        before = at - START < 10 * DAY
        now, later = variant_at(tenth if before else half, place), variant_at(half, place)
        # The window of the day's last unit may reach into the shift.
        if before and (day + 1) * DAY + WEEK > 10 * DAY and now != later:
            moved += 1
            continue
        wanted[now][0] += 1
        wanted[now][1] += bought[unit][1] > 0
    assert moved > 100
    assert of_units.streams.left_out(0)["moved"] == moved
    mine = found.metrics[0].comparisons[0].effect
    assert mine.n == (wanted["control"][0], wanted["treatment"][0])
    for k, name in enumerate(NAMES):
        n, successes = wanted[name]
        assert of_units.streams.value(0, k) == pytest.approx(successes / n)
    several = {u for u, arm, _ in world.exposures if arm == "treatment"}
    several &= {u for u, arm, _ in world.exposures if arm == "control"}
    assert len(several) > 500
    assert found.verdict.kind != "invalid"
    assert "unitsMoved" in [note.code for note in found.notes]
    assert len(found.epochs) == 2


def test_the_split_of_each_day_is_checked_by_its_own_epoch(here) -> None:
    shifts = ((0, 10), (6, 50))
    world = shop(4000, shifts, days=12, visits=4)
    text = experiment_file(BUYERS.replace("secondary", "primary"))
    _, found = judged(here, world, text, ledger(*shifts), 30)
    assert not found.srm.mismatch
    kept = [row for row in world.exposures if row[1] == "control" or int(row[0][1:]) % 4]
    world.exposures = kept
    _, found = judged(here, world, text, ledger(*shifts), 30)
    assert found.verdict.kind == "invalid"
    assert [r.code for r in found.verdict.reasons] == ["unitsMismatch"]


def test_exposures_that_contradict_ledger_and_hash_are_no_evidence(here) -> None:
    world = shop(2000)
    text = experiment_file(BUYERS.replace("secondary", "primary"))
    other = {"control": "treatment", "treatment": "control"}
    for share, invalid in ((0.001, False), (0.03, True)):
        rng = np.random.default_rng(3)
        strayed = {u for u in world.first() if rng.random() < share}
        rows = [(u, other[arm] if u in strayed else arm, at) for u, arm, at in world.exposures]
        spoilt = shop(2000)
        spoilt.exposures = rows
        _, found = judged(here, spoilt, text, ledger((0, 50)), 40)
        wrong = [r for r in (*found.verdict.reasons, *found.notes) if "unitsWrong" in r.code]
        assert [(r.code, r.facts["units_count"]) for r in wrong] == [
            ("unitsWrong" if invalid else "unitsWrongFew", len(strayed))
        ]
        assert (found.verdict.kind == "invalid") == invalid


def test_without_a_ledger_units_of_several_variants_are_left_out_and_told(analyze) -> None:
    world = shop(1500)
    text = experiment_file(BUYERS.replace("secondary", "primary"))
    other = {"control": "treatment", "treatment": "control"}
    unit, arm, at = world.exposures[0]
    world.exposures.append((unit, other[arm], at + 1.0))
    found = analyze(world, text)
    few = next(n for n in found["noteCodes"] if n["code"] == "unitsSeveralFew")
    assert few["facts"] == {"unitsCount": 1, "totalCount": 1500}
    assert sum(found["srm"]["observed"]) == 1499
    for unit, arm, at in world.exposures[1:60]:
        world.exposures.append((unit, other[arm], at + 1.0))
    found = analyze(world, text)
    assert [r["code"] for r in found["verdict"]["reasonCodes"]] == ["unitsSeveral"]


def test_the_first_exposure_counts_however_its_time_is_rounded(analyze) -> None:
    world = shop(300)
    text = experiment_file(BUYERS.replace("secondary", "primary"))
    unit, arm, at = min(world.exposures, key=lambda each: each[2])
    world.exposures.remove((unit, arm, at))
    # To DuckDB some microseconds are a little earlier than to Python.
    ago = "SELECT epoch(make_timestamptz(?)) < ? / 1e6"
    micros = range(int(START - DAY) * 1_000_000, int(START) * 1_000_000, 997)
    first = next(t for t in micros if duckdb.execute(ago, [t, t]).fetchone() == (True,))
    world.exposures.insert(0, (unit, arm, first / 1e6))
    assert "unitsAroundChanges" not in codes(analyze(world, text))


def test_what_is_no_number_is_left_out_with_its_unit_and_is_no_zero(analyze) -> None:
    world = shop(1500)
    first = world.first()
    text = experiment_file(REVENUE, BUYERS)
    clean = effect(analyze(world, text), "revenue")
    bad = list(first)[:12]
    for i, unit in enumerate(bad):
        value = ("", "NaN", "inf", "none", "1e200", "-inf")[i % 6]
        world.events.append((unit, first[unit] + 60.0, "purchase", value))
    world.events += [
        ("", START, "purchase", 3.0),
        (bad[0], "", "purchase", 3.0),
        (bad[0], "yesterday", "purchase", 3.0),
        (bad[1], START + 4e9, "purchase", 3.0),
        world.events[0],
    ]
    world.exposures += [("", "control", START), ("x", "", START), ("y", "candidate", START),
                        ("z", "control", "")]  # fmt: skip
    found = analyze(world, text)
    told = {(n["code"], n["facts"].get("table") or n["facts"].get("event")): n["facts"]
            for n in found["noteCodes"]}  # fmt: skip
    numbers = told["eventsWithoutNumber", "purchase"]
    assert (numbers["nullCount"], numbers["infiniteCount"]) == (4, 8)
    assert told["rowsOfNobody", "purchase"]["rowsCount"] == 1
    assert told["rowsWithoutTime", "purchase"]["rowsCount"] == 2
    assert told["rowsOfFuture", "purchase"]["rowsCount"] == 1
    assert told["eventsRepeated", "purchase"]["rowsCount"] == 1
    for code in ("rowsOfNobody", "rowsWithoutTime", "rowsWithoutVariantName"):
        assert told[code, "exposures"]["rowsCount"] == 1
    assert told["exposuresOfOthers", None] == {"variants": ["candidate"], "rowsCount": 1}
    mine = effect(found, "revenue")
    assert sum(mine["n"]) == sum(clean["n"]) - len(bad)
    arms = arms_of(world)
    assert mine["n"][0] == len([u for u in first if u not in bad and arms[u] == 0])


def test_values_that_are_missing_more_in_one_variant_are_no_answer(analyze) -> None:
    world, arms = shop(1500), None
    arms, first = arms_of(world), world.first()
    for unit in [u for u in first if arms[u] == 1][:80]:
        world.events.append((unit, first[unit] + 60.0, "purchase", ""))
    found = analyze(world, experiment_file())
    assert effect(found, "revenue")["code"] == "missingDiffers"


def test_an_event_that_nobody_logs_is_no_zero(analyze) -> None:
    world = shop(300)
    found = analyze(world, experiment_file(REVENUE.replace("purchase", "purchases")))
    assert effect(found, "revenue")["code"] == "eventUnknown"


def test_a_cap_of_a_share_is_settled_by_the_first_units_and_stays(here) -> None:
    world = shop(3000, days=14)
    metric = REVENUE.replace("window: 7d", "window: 1d, cap: 95%")
    caps = []
    for days in (4, 9, 30):
        of_units, found = judged(here, world, experiment_file(metric), ledger((0, 50)), days)
        caps.append(of_units.evidence.caps[0])
        assert isinstance(found.metrics[0].comparisons[0].effect, Estimate)
    assert len(set(caps)) == 1
    bought, first = world.per_unit("purchase", DAY), world.first()
    of_day = sorted(bought[u][0] for u, at in first.items() if 60 <= at - START < DAY)
    assert caps[0] == pytest.approx(of_day[int(np.ceil(0.95 * len(of_day))) - 1])


def test_times_are_of_the_zone_that_the_file_names(analyze) -> None:
    """The same moments, written as a wall clock in New York has them."""
    world = shop(800)
    wanted = analyze(world, experiment_file(REVENUE, BUYERS))
    shifted = shop(800)
    shifted.exposures = [(u, arm, at - 4 * 3600.0) for u, arm, at in world.exposures]
    shifted.events = [(u, at - 4 * 3600.0, *rest) for u, at, *rest in world.events]
    zone = "      timezone: America/New_York"
    found = analyze(shifted, experiment_file(REVENUE, BUYERS, more=zone))
    for name in ("revenue", "buyers"):
        for side in NAMES:
            assert effect(found, name)[side] == pytest.approx(effect(wanted, name)[side], rel=0.01)
    assert (
        found["startedAt" if "startedAt" in found else "started"]
        == wanted["startedAt" if "startedAt" in wanted else "started"]
    )
    offset = shop(800)
    offset.exposures = [
        (u, arm, f"{moment(at - 4 * 3600)}-04:00") for u, arm, at in world.exposures
    ]
    offset.events = [(u, f"{moment(at + 3600)}+01:00", *rest) for u, at, *rest in world.events]
    again = analyze(offset, experiment_file(REVENUE, BUYERS))
    assert effect(again, "revenue")["interval"] == approx_interval(wanted, "revenue")


def test_hostile_names_and_texts_are_names_and_texts(analyze, here) -> None:
    world = shop(400)
    wanted = analyze(world, experiment_file())
    name = """it's \\"a\\"; DROP TABLE x --"""
    plain = 'it\'s "a"; DROP TABLE x --'
    column = "us'er\\\"; SELECT 1"
    text = experiment_file(REVENUE.replace("of: purchase", f'of: "{name}"'))
    text = text.replace("unit: user_id, variant", f'unit: "{column}", variant')
    text = text.replace("from: exposures.csv", 'from: "ex [1]\'*.csv"')
    world.events = [(u, at, plain if what == "purchase" else what, v)
                    for u, at, what, v in world.events]  # fmt: skip
    world.write(here)
    rows = (here / "exposures.csv").read_text(encoding="utf-8")
    head = '"us\'er""; SELECT 1",variant,ts'
    (here / "ex [1]'*.csv").write_text(rows.replace("user_id,variant,ts", head), encoding="utf-8")
    (here / "shop.yaml").write_text(text, encoding="utf-8")
    found = analyze(world, text)
    assert effect(found, "revenue")["interval"] == approx_interval(wanted, "revenue")


def test_from_may_be_one_select_of_files_and_nothing_else(analyze, here) -> None:
    world = shop(400)
    world.exposures.append(("bot-1", "control", START))
    select = """'SELECT user_id, variant, ts FROM "exposures.csv" AS e WHERE user_id LIKE ''u%'''"""
    text = experiment_file().replace("from: exposures.csv", f"from: {select}")
    found = analyze(world, text)
    assert sum(found["srm"]["observed"]) == 400
    for bad in (
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x",
        "SELECT * INTO t FROM x",
        "SELECT FROM WHERE",
    ):
        quoted = bad.replace("'", "''")
        text = experiment_file().replace("from: exposures.csv", f"from: '{quoted}'")
        assert "from " in analyze(world, text, code=2)
    (here / "secret.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    inner = """'SELECT * FROM (SELECT * FROM "nowhere.csv")'"""
    text = experiment_file().replace("from: exposures.csv", f"from: {inner}")
    assert "nowhere.csv" in analyze(world, text, code=2)


def test_an_experiment_whose_variants_nobody_saw_is_an_error(here) -> None:
    world = shop(50)
    world.exposures = [(u, f"model {arm}", at) for u, arm, at in world.exposures]
    with pytest.raises(SourceError) as caught:
        judged(here, world, experiment_file(), None, 40)
    assert "model control" in caught.value.hint


def test_the_command_judges_by_the_ledger_of_its_world(here, analyze) -> None:
    shifts = ((0, 10), (6, 50))
    world, text = shop(1500, shifts, days=12), experiment_file()
    experiment, held = parse(text, "shop.yaml"), ledger(*shifts)
    target = platform(experiment.platform).target(experiment)
    begun = new_object(experiment, held.entries[0], meaning(experiment), target=target)
    held = replace(held, plan=locked_plan(experiment, meaning(experiment)))
    DirectoryClient(here / "state/world").create(with_ledger(begun, held))
    (here / "state/stack.json").write_text("{}", encoding="utf-8")
    found = analyze(world, text, "--state", "state")
    assert [epoch["split"] for epoch in found["epochs"]] == [
        {"control": 0.9, "treatment": 0.1}, {"control": 0.5, "treatment": 0.5},
    ]  # fmt: skip
    assert {"unitsMoved", "tablesBehind"} <= set(codes(found))
    assert "noLedger" not in codes(found)
    assert sum(found["srm"]["observed"]) == 1500


def test_rows_that_are_not_those_of_the_plan_are_a_changed_plan(here) -> None:
    world, text = shop(200), experiment_file()
    then = parse(text, "shop.yaml")
    held = ledger((0, 50), plan=locked_plan(then, meaning(then)))
    world.write(here)
    chosen = """'SELECT * FROM "events.csv" WHERE name <> ''view'''"""
    for given, parts in (
        (text, []),
        (text.replace("events.csv", "./events.csv"), ["source.table"]),
        (text.replace("from: events.csv", f"from: {chosen}"), ["source.table"]),
    ):
        experiment = as_locked(held, parse(given, "shop.yaml"))
        evidence = gather(experiment, held, START + 40 * DAY, by_salted_hash)
        found = judge_units(OfUnits(experiment, evidence, held), START + 40 * DAY)
        changed = [r.facts["parts"] for r in found.verdict.reasons if r.code == "planChanged"]
        assert changed == ([parts] if parts else [])


def test_several_treatments_keep_their_own_regions(here) -> None:
    names = ("control", "a", "b")
    splits = (Split(names, (8000, 1000, 1000)), Split(names, (5000, 4000, 1000)))
    text = experiment_file(BUYERS.replace("secondary", "primary"), treatment=10)
    text = text.replace("split: 90%", "split: 80%").replace(
        "name: treatment, split: 10%", "name: a, split: 10%"
    )
    line = next(each for each in text.splitlines() if "name: a," in each)
    text = text.replace(line, f"{line}\n{line.replace('name: a', 'name: b')}")
    world = shop(3000, days=12, visits=4)
    of = [(u, at, splits[at - START >= 6 * DAY]) for u, _, at in world.exposures]
    world.exposures = [(u, variant_at(s, point("shop-1", u)), at) for u, at, s in of]
    held = ledger((0, 50))
    first, second = (
        type(held.entries[0])(START + d * DAY, "ann", before, after, "", "applied")
        for d, before, after in ((0, None, splits[0]), (6, *splits))
    )
    held = type(held)("{}").with_entry(first).with_entry(second)
    of_units, found = judged(here, world, text, held, 30)
    assert [c.treatment for c in found.metrics[0].comparisons] == ["a", "b"]
    assert found.verdict.kind != "invalid", found.verdict
    moved = of_units.streams.left_out(0)["moved"]
    wanted = 0
    for unit, at in world.first().items():
        day, place = int((at - START) // DAY), point("shop-1", unit)
        changes = variant_at(splits[0], place) != variant_at(splits[1], place)
        if 60 <= at - START < 6 * DAY and (day + 1) * DAY + WEEK > 6 * DAY and changes:
            wanted += 1
    assert moved == wanted > 100
