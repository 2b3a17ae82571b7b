"""What `from` may be, and statements in the words of each engine, by sqlglot (pure)."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from abctl.core.tables import Rows, Tables
from abctl.errors import SpecError
from abctl.installation import lacks

if TYPE_CHECKING:
    from sqlglot import exp

EXPOSURES, EVENTS = "abctl_exposures", "abctl_happened"
_HINT = "a table, such as analytics.events, or one SELECT ..."


def written(tables: Tables, canonical: str) -> str:
    """A statement in the words of the engine, with its tables in their places.

    Args:
        tables: where they are.
        canonical: the statement as DuckDB has it.

    Raises:
        SpecError: where a table is said to be, there is no name and no SELECT.
        UsageError: sqlglot is not installed.
    """
    _require()
    import sqlglot  # noqa: PLC0415 - of an extra
    from sqlglot import exp  # noqa: PLC0415

    engine = tables.engine
    local = engine == "duckdb" and not tables.connection  # views of files have these names
    tree = sqlglot.parse_one(canonical, read="duckdb")
    for name, rows in ((EXPOSURES, tables.exposures), (EVENTS, tables.events)):
        for place in [t for t in tree.find_all(exp.Table) if t.name == name and not local]:
            place.replace(relation(rows, engine).as_(place.alias, table=True))
    if engine == "clickhouse":
        for kind in tree.find_all(exp.DataType):
            if kind.this == exp.DataType.Type.TIMESTAMPTZ:
                kind.replace(exp.DataType.build("Nullable(DateTime64(6))", dialect=engine))
    if engine == "trino":
        for hashed in tree.find_all(exp.MD5):
            hashed.set("this", exp.func("TO_UTF8", hashed.this))
    return tree.sql(dialect=engine, comments=False, pretty=True)


def relation(rows: Rows, engine: str) -> "exp.Query | exp.Table":
    """A table by its name, or one SELECT.

    Raises:
        SpecError: it is something else.
        UsageError: sqlglot is not installed.
    """
    _require()
    import sqlglot  # noqa: PLC0415 - of an extra
    from sqlglot import errors, exp  # noqa: PLC0415

    try:
        if not is_query(rows.from_):
            found = exp.to_table(rows.from_, dialect=engine)
            for part in found.find_all(exp.Identifier):
                part.set("quoted", True)
            return found
        statements = sqlglot.parse(rows.from_, read=engine)
    except errors.SqlglotError as error:
        said = str(error).partition("\n")[0]
        raise SpecError(f"from {rows.from_!r} cannot be read: {said}", _HINT) from None
    only = statements[0] if len(statements) == 1 else None
    changes = (exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop, exp.Into, exp.Command)
    if not isinstance(only, exp.Query) or only.find(*changes):
        raise SpecError(f"from {rows.from_!r} is not one SELECT", _HINT)
    return only.subquery(copy=False)


def views(tables: Tables) -> dict[str, tuple[str, Mapping[str, str]]]:
    """For files: by the name of each view its SELECT, and by each name in that the files.

    Raises:
        SpecError: it names no file, or is no SELECT.
        UsageError: sqlglot is not installed.
    """
    _require()
    from sqlglot import exp  # noqa: PLC0415 - of an extra

    found = dict[str, tuple[str, Mapping[str, str]]]()
    for view, rows in ((EXPOSURES, tables.exposures), (EVENTS, tables.events)):
        if not is_query(rows.from_):
            found[view] = (f"SELECT * FROM {view}_0", {f"{view}_0": _file(tables, rows.from_)})
            continue
        tree, files = relation(rows, "duckdb"), dict[str, str]()
        within = {cte.alias for cte in tree.find_all(exp.CTE)}
        for place in list(tree.find_all(exp.Table)):
            if not isinstance(place.this, exp.Identifier):
                raise SpecError(
                    f"from {rows.from_!r}: {place.sql(dialect='duckdb')} is no file",
                    'name files in quotes: SELECT * FROM "events/*.parquet"',
                )
            named = ".".join(part.name for part in place.parts)
            if named in within:
                continue
            name = f"{view}_{len(files)}"
            files[name] = _file(tables, named)
            alias = exp.to_identifier(place.alias or place.name, quoted=True)
            place.replace(exp.to_table(name).as_(alias, table=True))
        found[view] = (tree.this.sql(dialect="duckdb", comments=False), files)
    return found


def is_query(from_: str) -> bool:
    """Whether it is a statement, and not the name of a table.

    >>> is_query("events"), is_query("SELECT * FROM events")
    (False, True)
    """
    first = from_.lstrip("( \t\n").split(None, 1)
    return len(first) > 1 and first[0].upper() in ("SELECT", "WITH", "FROM")


def _file(tables: Tables, named: str) -> str:
    return str(PurePath(tables.folder, named))


def _require() -> None:
    try:
        import sqlglot  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        raise lacks("sqlglot, which writes SQL for tables of events,", "tables") from None
