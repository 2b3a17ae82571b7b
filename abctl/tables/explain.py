"""What an engine expects of a statement, by its own EXPLAIN: nothing of the statement is run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abctl.core.tables import Tables
from abctl.tables.engine import Adder
from abctl.tables.gather import opened
from abctl.tables.running import Running
from abctl.tables.warehouse import Warehouse
from abctl.tables.written import printable

# Whose plans are read here.
ENGINES = {"duckdb": "DuckDB", "postgres": "PostgreSQL"}


@dataclass(frozen=True)
class Expected:
    """What an engine expects of a statement.

    >>> Expected("PostgreSQL", {"seen": 1200, "done": 30_000}, rows=40, cost=512.4).text
    'PostgreSQL expects to read about 31,200 rows (seen 1,200, done 30,000), to give 40; cost 512'

    Attributes:
        engine: whose word it is.
        reads: rows that are left of each table, or of all files of a kind, once it is read.
        rows: that the answer has.
        cost: in the engine's own unit; None where it has none.
    """

    engine: str
    reads: Mapping[str, int]
    rows: int
    cost: float | None = None

    @property
    def text(self) -> str:
        """The same in words."""
        each = ", ".join(f"{name} {rows:,}" for name, rows in self.reads.items())
        read = f"{sum(self.reads.values()):,} rows" + (f" ({each})" if each else "")
        cost = "" if self.cost is None else f"; cost {self.cost:,.0f}"
        return f"{self.engine} expects to read about {read}, to give {self.rows:,}{cost}"


def expected(tables: Tables, statements: Sequence[str]) -> list[Expected | None]:
    """What the engine expects of each statement; None for one that asks nothing.

    Raises:
        AbctlError: as for `gather`; or it cannot read one.
    """
    with opened(tables, Running()) as (engine, _):
        return [_of(engine, tables.engine, each) for each in statements]


def _of(engine: Adder | Warehouse, kind: str, statement: str) -> Expected | None:
    if not statement.startswith(("WITH", "SELECT")):
        return None
    found = engine.rows(f"EXPLAIN (FORMAT JSON) {statement.rstrip(';')}")[0][-1]
    plan: Any = json.loads(found) if isinstance(found, str) else found
    reads = dict[str, int]()
    if kind == "duckdb":
        for name, rows in _scans_of_duckdb(plan):
            reads[name] = reads.get(name, 0) + rows
        return Expected(ENGINES[kind], reads, _rows(_top(plan[0])))
    top = plan[0]["Plan"]
    for node in _nodes(top, "Plans"):
        if table := node.get("Relation Name"):
            known = printable(table)
            reads[known] = reads.get(known, 0) + int(node["Plan Rows"])
    return Expected(ENGINES[kind], reads, int(top["Plan Rows"]), float(top["Total Cost"]))


def _scans_of_duckdb(plan: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    for node in _nodes(plan[0], "children"):
        name = node["name"].strip()
        if name.startswith("READ_"):
            yield name.removeprefix("READ_"), _rows(node)
        elif table := node["extra_info"].get("Table"):
            yield printable(str(table).rpartition(".")[2]), _rows(node)


def _top(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first node that says how many rows it gives."""
    each = _nodes(node, "children")
    return next((n for n in each if "Estimated Cardinality" in n["extra_info"]), node)


def _rows(node: Mapping[str, Any]) -> int:
    return int(node["extra_info"].get("Estimated Cardinality", 0))


def _nodes(node: Mapping[str, Any], below: str) -> Iterator[Mapping[str, Any]]:
    yield node
    for each in node.get(below, ()):
        yield from _nodes(each, below)
