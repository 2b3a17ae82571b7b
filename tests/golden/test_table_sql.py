"""The SQL of an experiment by tables, in the words of each engine: what `--dry-run` prints."""

import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import sqlglot
from sqlglot import exp

from abctl.core.assignment import by_salted_hash
from abctl.core.ledger import Entry, Ledger
from abctl.core.split import Split
from abctl.core.tables import Engine
from abctl.spec import parse
from abctl.tables.gather import statements

HERE = Path(__file__).parent / "table_sql"
FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: shop}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: shop-1}
  variants:
    - {name: control, split: 90%, model: {name: iris, version: v1}}
    - {name: treatment, split: 10%, model: {name: iris, version: v2}}
  metrics:
    - {name: revenue, role: primary, kind: mean, of: purchase, per: user, window: 7d, before: 14d, direction: increase}
    - {name: order, role: secondary, kind: ratio, of: 'back\\slash', over: purchase, window: 1d, direction: increase}
    - {name: back, role: secondary, kind: retention, of: visit, after: 12h, window: 1d, direction: increase}
  source:
    table:
      engine: ENGINE
      connection: {database: shop}
      exposures: {from: analytics.exposures, unit: user_id, variant: variant, at: ts}
      events: {from: SELECT * FROM analytics.events WHERE NOT bot, unit: 'us"er`', at: ts, name: name, value: value}
      timezone: Europe/Berlin
"""  # noqa: E501

NAMES = ("control", "treatment")
LEDGER = Ledger("{}")
BEFORE = None
for at, percent in ((1_788_000_000.0, 10), (1_788_500_000.0, 50)):
    after = Split(NAMES, (10_000 - 100 * percent, 100 * percent))
    LEDGER = LEDGER.with_entry(Entry(at, "ann", BEFORE, after, "", "applied"))
    BEFORE = after


def asked(engine: str, *, seen: bool = False) -> tuple[str, ...]:
    """Where a hash places units; or what was seen."""
    experiment = parse(FILE.replace("ENGINE", engine), "shop.yaml")
    assert experiment.source is not None
    assert experiment.source.tables is not None
    tables = replace(experiment.source.tables, folder="")
    source = replace(experiment.source, tables=tables)
    given = replace(experiment, source=source)
    return statements(given, None if seen else LEDGER, 1_790_000_000.0, by_salted_hash)


@pytest.mark.slow
@pytest.mark.parametrize("engine", get_args(Engine))
def test_each_engine_is_asked_in_its_own_words(engine: str) -> None:
    rows, sums = asked(engine), asked(engine, seen=True)
    path, found = HERE / f"{engine}.sql", "\n\n".join((*rows, *sums[-1:])) + "\n"
    if os.environ.get("ABCTL_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("engine", get_args(Engine))
def test_whatever_names_and_texts_hold_an_engine_reads_them_as_such(engine: str) -> None:
    """sqlglot reads each statement as the engine does: one SELECT, names and texts as given."""
    first = next(i for i, each in enumerate(asked(engine)) if each.startswith("WITH"))
    for text in (*asked(engine)[first:], asked(engine, seen=True)[-1]):
        statement, *others = (each for each in sqlglot.parse(text, read=engine) if each)
        assert not others
        assert isinstance(statement, exp.Select)
        columns = {c.name for c in statement.find_all(exp.Column) if c.this.quoted}
        assert columns & {"user_id", 'us"er`'}
        texts = {literal.this for literal in statement.find_all(exp.Literal) if literal.is_string}
        aliases = {a.alias for a in statement.find_all(exp.Alias)}
        assert not aliases & {"user_id", "ts", "name", "value", "variant"}  # none that hides one
        if "number_of" in text and "what_asked" not in aliases:
            assert "back\\slash" in texts
