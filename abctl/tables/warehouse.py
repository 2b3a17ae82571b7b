"""The doors to warehouses: one connection for each engine, by a driver that the user installs.

Only what is asked is sent, in a transaction that only reads where the engine has such.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from abctl.core.tables import Tables
from abctl.errors import SourceError, UsageError
from abctl.tables.running import Cancel, Running
from abctl.tables.warehouse_sql import session

_CHUNK = 50_000
# Modules with the interface of PEP 249; the first that is installed is taken.
DRIVERS: Mapping[str, tuple[str, ...]] = {
    "postgres": ("psycopg", "psycopg2", "pg8000.dbapi"),
    "redshift": ("redshift_connector", "psycopg", "psycopg2"),
    "trino": ("trino.dbapi",),
    "spark": ("pyhive.hive", "databricks.sql"),
    "databricks": ("databricks.sql",),
    "clickhouse": ("clickhouse_connect.dbapi", "clickhouse_driver.dbapi"),
    "bigquery": ("google.cloud.bigquery.dbapi",),
    "snowflake": ("snowflake.connector",),
}
_NUMBERS = frozenset(("port",))


class Warehouse:
    """A connection, as statements ask for rows of it.

    Attributes:
        place: what it is called.
        running: statements that were asked and will be.
    """

    def __init__(self, connection: Any, place: str, running: Running | None = None) -> None:
        self._connection = connection
        self.place = place
        self.running = running or Running()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The answer of one statement.

        Raises:
            SourceError: it is refused, or the connection is lost.
        """
        return [row for chunk in self.chunks(statement) for row in chunk]

    def chunks(self, statement: str) -> Iterator[list[tuple[Any, ...]]]:
        """The same, some thousand rows at a time.

        Raises:
            SourceError: it is refused, or the connection is lost.
        """
        try:
            cursor = self._connection.cursor()
            cancel = _cancel_of(cursor, self._connection)
            self.running.run(lambda: cursor.execute(statement), cancel)
            while cursor.description:
                chunk = self.running.run(lambda: cursor.fetchmany(_CHUNK), cancel, part=True)
                if not chunk:
                    break
                yield [tuple(row) for row in chunk]
            cursor.close()
        except Exception as error:  # noqa: BLE001 - each driver has errors of its own
            raise refused(self.place, error) from None


def _cancel_of(cursor: Any, connection: Any) -> Cancel | None:
    """What ends a statement in the engine, as far as a driver has it."""
    for each in (cursor, connection):
        for name in ("cancel_safe", "cancel"):
            if callable(found := getattr(each, name, None)):
                return cast("Callable[[], object]", found)
    return None


def refused(place: str, error: Exception) -> SourceError:
    """What an engine has said, in one line."""
    said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    shown = "".join(c if c.isprintable() else " " for c in said.strip())
    return SourceError(
        f"{place}: {shown}",
        "abctl analyze EXPERIMENT --dry-run prints what is asked; names are quoted, so write them "
        "as the engine has them",
    )


@contextmanager
def connected(tables: Tables, running: Running | None = None) -> Iterator[Warehouse]:
    """A connection by the driver of an engine.

    Args:
        tables: where it leads.
        running: see `Warehouse`.

    Raises:
        UsageError: no driver is installed, or an environment variable is missing.
        SourceError: it cannot connect.
    """
    driver, name = _driver(tables.engine)
    given = {k: int(v) if k in _NUMBERS and v.isdigit() else v for k, v in _given(tables).items()}
    place = f"{tables.engine} {given.get('host') or given.get('account') or ''}".strip()
    running = running or Running()
    try:
        connection = running.run(lambda: driver.connect(**given), part=True)
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        raise refused(f"{place}, by {name}", error) from None
    try:
        found = Warehouse(connection, place, running)
        for statement in session(tables):
            found.rows(statement)
        yield found
    finally:
        connection.close()


def _given(tables: Tables) -> dict[str, str]:
    found = {name: str(value) for name, value in tables.connection.items()}
    for name, variable in tables.connection_env.items():
        value = os.environ.get(variable)
        if value is None:
            raise UsageError(
                f"source.table.connectionEnv.{name}: {variable} is not set",
                f"export {variable}=...",
            )
        found[name] = value
    return found


def _driver(engine: str) -> tuple[Any, str]:
    for name in DRIVERS[engine]:
        try:
            return importlib.import_module(name), name
        except ModuleNotFoundError:
            continue
    names = " or ".join(name.partition(".")[0] for name in DRIVERS[engine])
    raise UsageError(f"no driver of {engine} is installed", f"install {names} beside abctl")
