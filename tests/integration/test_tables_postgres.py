"""PostgreSQL as the second engine: whatever it is asked, the same numbers as by DuckDB."""

import json
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from postgres_server import serving
from unit_tables import DAY, START, experiment_file, ledger, moment, shop

from abctl.cli.main import run
from abctl.core.assignment import by_salted_hash
from abctl.core.tables import Rows, Tables
from abctl.errors import SourceError, SpecError, UsageError
from abctl.spec import parse
from abctl.tables.gather import gather
from abctl.tables.warehouse import Warehouse

pytestmark = pytest.mark.process
METRICS = (
    "{name: revenue, role: primary, kind: mean, of: purchase, per: user, window: 7d, before: 14d, cap: 90%, direction: increase, mde: 5%}",  # noqa: E501
    "{name: buyers, role: secondary, kind: proportion, of: purchase, per: user, window: 3d, direction: increase}",  # noqa: E501
    "{name: back, role: secondary, kind: retention, of: click, after: 2d, window: 5d, direction: increase}",  # noqa: E501
    "{name: right, role: secondary, kind: proportion, of: click, per: outcome, window: 7d, before: 7d, direction: increase}",  # noqa: E501
    "{name: odd, role: secondary, kind: rate, of: 'o\\\\d''d \"x\"', window: 1d, direction: increase}",  # noqa: E501
)
ODD = 'o\\\\d\'d "x"'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("postgres")) as connection:
        yield connection


@pytest.fixture(scope="module")
def world(server):
    """Nasty rows, in PostgreSQL as typed columns."""
    found, rng = shop(1200, ((0, 10), (6, 50)), days=12, seed=7), np.random.default_rng(8)
    first = found.first()
    for unit in list(first)[:200]:
        at = first[unit]
        found.events.append((unit, at, ODD, 1.0))  # at the very moment
        found.events.append((unit, at + DAY, ODD, 1.0))  # and when the window is over
        value = rng.choice([None, float("nan"), float("inf"), -1e3, 1e12, 1e-12, 0.1 + 0.2])
        found.events.append((unit, at + 3600.0 + 1e-6, "purchase", value))
    found.events += [found.events[0]] * 3
    found.events += [(None, START, "purchase", 1.0), ("u1", None, "purchase", 1.0)]
    found.exposures += [(None, "control", START), ("ü \\'\"", "control", START + 90.0)]
    found.exposures += [("x", "candidate", START + 90.0), ("y", None, START + 90.0)]
    for unit, _, at in found.exposures:  # rarer ones than 20, and those of travellers
        found.countries[unit] = str(rng.choice(["DE", ODD, "", *(f"c{i}" for i in range(25))]))
        found.countries[unit, at] = str(rng.choice(["DE", found.countries[unit]]))
    with psycopg.connect(**server) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA \"shop\"; SET TIME ZONE 'UTC'")
        cursor.execute(
            'CREATE TABLE shop.seen ("us""er" text, variant text, ts timestamptz, country text)'
        )
        cursor.execute(
            "CREATE TABLE shop.done (user_id text, ts timestamp, name text, value double precision)"
        )
        with cursor.copy("COPY shop.seen FROM STDIN") as copy:
            for unit, arm, at in found.exposures:
                copy.write_row((unit, arm, at and moment(at), found.country(unit, at)))
        with cursor.copy("COPY shop.done FROM STDIN") as copy:
            for unit, at, name, value in found.events:
                copy.write_row((unit, at and moment(at), name, value))
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return tmp_path


def of_postgres(server):
    return Tables(
        "postgres",
        Rows("shop.seen", 'us"er', "ts", variant="variant", segments=("country",)),
        Rows("SELECT * FROM shop.done", "user_id", "ts", name="name", value="value"),
        connection=server,
    )


def cells(experiment, tables, of_ledger, draw=by_salted_hash):
    source = replace(experiment.source, tables=tables)
    return gather(replace(experiment, source=source), of_ledger, START + 40 * DAY, draw)


def test_both_engines_have_the_same_numbers(server, world, here) -> None:
    world.write(here)
    text = experiment_file(*METRICS).replace("at: ts}", "at: ts, segments: [country]}", 1)
    experiment = parse(text, "shop.yaml")
    for of_ledger in (ledger((0, 10), (6, 50)), None):
        mine = cells(experiment, experiment.source.tables, of_ledger)
        theirs = cells(experiment, of_postgres(server), of_ledger)
        assert theirs.exposures == mine.exposures
        assert theirs.events == mine.events
        assert theirs.caps == pytest.approx(mine.caps, rel=1e-12)
        assert len(theirs.cells) == len(mine.cells) > 20
        known = [(each.column, each.value, each.code) for each in mine.segments]
        assert [(each.column, each.value, each.code) for each in theirs.segments] == known
        assert len(known) >= 22
        assert sum(c.units for s in mine.segments for c in s.cells) == sum(
            each.units for each in mine.cells
        )
        pairs = [(mine.cells, theirs.cells)]
        pairs += [(a.cells, b.cells) for a, b in zip(mine.segments, theirs.segments, strict=True)]
        for one, other in (cells for pair in pairs for cells in zip(*pair, strict=True)):
            keys = ("epoch", "day", "course", "seen", "units", "rows", "wrong")
            assert [getattr(one, k) for k in keys] == [getattr(other, k) for k in keys]
            for a, b in zip(one.sums, other.sums, strict=True):
                assert b == pytest.approx(a, rel=1e-12, abs=1e-12)
            for i, a in one.by_bucket.items():
                assert other.by_bucket[i] == pytest.approx(a, rel=1e-12, abs=1e-12)
        assert sum(each.infinite for each in mine.events.values()) > 10


def test_only_sums_leave_an_engine_that_needs_no_hash(server, world, here, monkeypatch) -> None:
    """Without a ledger, or where each request is drawn anew: what was seen decides."""
    world.write(here)
    metrics = [METRICS[0].replace("90%", "60"), *METRICS[1:]]
    zone = "America/New_York"  # files and tables hold wall clocks
    experiment = parse(experiment_file(*metrics, more=f"      timezone: {zone}"), "shop.yaml")
    select = 'SELECT "us""er", variant, country, ts AT TIME ZONE \'UTC\' AS ts FROM shop.seen'
    sound = replace(of_postgres(server), timezone=zone)
    sound = replace(sound, exposures=replace(sound.exposures, from_=select))
    seen, chunks = [], Warehouse.chunks

    def watched(self, statement):
        for chunk in chunks(self, statement):
            seen.append(len(chunk))
            yield chunk

    monkeypatch.setattr(Warehouse, "chunks", watched)
    units = len(world.first())
    for of_ledger, draw in ((None, by_salted_hash), (ledger((0, 10), (6, 50)), None)):
        mine = cells(experiment, experiment.source.tables, of_ledger, draw)
        theirs = cells(experiment, sound, of_ledger, draw)
        assert max(seen) < units  # variants, days and buckets
        assert theirs.caps == mine.caps == {0: 60.0}
        assert len(theirs.cells) == len(mine.cells) > 20
        for one, other in zip(mine.cells, theirs.cells, strict=True):
            keys = ("epoch", "day", "course", "seen", "units", "rows", "wrong")
            assert [getattr(one, k) for k in keys] == [getattr(other, k) for k in keys]
            for a, b in zip(one.sums, other.sums, strict=True):
                assert b == pytest.approx(a, rel=1e-12, abs=1e-9)
            for i, a in one.by_bucket.items():  # buckets are by another hash
                assert other.by_bucket[i].sum(axis=1) == pytest.approx(a.sum(axis=1), rel=1e-12)
                assert np.count_nonzero(other.by_bucket[i][0]) > 0


def test_the_command_judges_by_it_and_writes_nothing(
    server, world, here, capsys, monkeypatch
) -> None:
    listed = ", ".join(f"{k}: '{v}'" for k, v in server.items() if k != "user")
    text = experiment_file(*METRICS, more="      engine: postgres")
    text = text.replace("exposures.csv, unit: user_id", "shop.seen, unit: 'us\"er'")
    text = text.replace("events.csv", "SELECT * FROM shop.done")
    where = f"connection: {{{listed}}}\n      connectionEnv: {{user: SHOP_USER}}"
    (here / "shop.yaml").write_text(text.replace("engine:", f"{where}\n      engine:"))
    assert run(["analyze", "shop.yaml"]) == 2
    assert "SHOP_USER is not set" in capsys.readouterr().err
    monkeypatch.setenv("SHOP_USER", server["user"])
    assert run(["analyze", "shop.yaml"]) == 0, capsys.readouterr().err
    assert "revenue" in capsys.readouterr().out
    assert run(["analyze", "shop.yaml", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("SET TRANSACTION READ ONLY;")
    assert printed.count("-- PostgreSQL expects to read about ") == printed.count("\nWITH ")
    assert run(["analyze", "shop.yaml", "--dry-run", "-o", "json"]) == 0
    told = [each["expected"] for each in json.loads(capsys.readouterr().out)["statements"]]
    assert told[0] is None
    assert {name for each in told if each for name in each["reads"]} == {"seen", "done"}
    assert all(each["cost"] > 0 and each["rows"] > 0 for each in told if each)
    with psycopg.connect(**server) as connection, connection.cursor() as cursor:
        for statement in printed.strip().split(";\n\n"):  # each of them is what PostgreSQL runs
            cursor.execute(statement.rstrip(";"))
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            cursor.execute("CREATE TABLE shop.other (a int)")


def test_what_it_refuses_is_told_in_its_words(server, world, here) -> None:
    experiment = parse(experiment_file(*METRICS), "shop.yaml")
    sound = of_postgres(server)
    no_table = replace(sound, exposures=replace(sound.exposures, from_="shop.nowhere"))
    with pytest.raises(SourceError, match="nowhere"):
        cells(experiment, no_table, None)
    with pytest.raises(SourceError, match="ts2"):
        cells(experiment, replace(sound, events=replace(sound.events, at="ts2")), None)
    with pytest.raises(SourceError, match="psycopg"):
        cells(experiment, replace(sound, connection={**server, "port": "1"}), None)
    with pytest.raises(SpecError, match="not one SELECT"):
        cells(
            experiment,
            replace(sound, events=replace(sound.events, from_="SELECT 1; SELECT 2")),
            None,
        )
    with pytest.raises(UsageError, match="no driver of trino"):
        cells(experiment, replace(sound, engine="trino"), None)
