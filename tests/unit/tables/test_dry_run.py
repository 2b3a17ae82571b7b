"""`--dry-run`: the SQL, what the engine expects of it, and nothing else."""

import json

import pytest
from unit_tables import experiment_file, shop

from abctl.cli.main import run
from abctl.tables.engine import Adder

UNITS = 40


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    shop(UNITS).write(tmp_path)
    (tmp_path / "shop.yaml").write_text(experiment_file())
    return tmp_path


def test_duckdb_says_what_it_expects_and_runs_nothing(here, capsys, monkeypatch) -> None:
    asked, rows = [], Adder.rows

    def watched(self, statement):
        asked.append(statement)
        return rows(self, statement)

    monkeypatch.setattr(Adder, "rows", watched)
    assert run(["analyze", "shop.yaml", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "-- DuckDB expects to read about " in out
    assert out.startswith("SET TimeZone = 'UTC';\n\n-- DuckDB expects")
    assert len(asked) > 3
    assert all(each.startswith("EXPLAIN ") for each in asked)
    assert "no estimate" not in err
    assert run(["analyze", "shop.yaml", "--dry-run", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (*_, units) = document["statements"]
    assert document["kind"] == "Statements"
    assert units["sql"].startswith("WITH exposures_read")
    assert units["expected"]["engine"] == "DuckDB"
    many = len((here / "exposures.csv").read_text().splitlines())
    assert many / 2 < units["expected"]["reads"]["CSV"] < 100 * many


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("exposures.csv", "nowhere.csv", "nowhere.csv"),
        ("table:\n", "table:\n      engine: trino\n", "trino is not asked"),
    ],
)
def test_where_nobody_says_what_to_expect_the_sql_is_printed(here, capsys, old, new, said) -> None:
    (here / "shop.yaml").write_text(experiment_file().replace(old, new, 1))
    assert run(["analyze", "shop.yaml", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "WITH exposures_read" in out
    assert "expects" not in out
    assert said in err.partition("no estimate: ")[2]
