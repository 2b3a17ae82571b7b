"""The door to DuckDB: the declared files, read only, and nothing else of this machine.

No extension is loaded or fetched, memory is bounded, what does not fit spills into a folder of its
own. Files are read through links, so that no name of a file means anything to the engine.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

from abctl.errors import SourceError, UsageError
from abctl.installation import lacks
from abctl.tables.log_files import Files, Format
from abctl.tables.running import Running
from abctl.tables.sql import EVENTS
from abctl.tables.unreadable import MEMORY, unreadable
from abctl.tables.written import printable, quoted, text

_SHOWN_COLUMNS = 20


class Adder:
    """DuckDB, which has or is given rows of units, and adds them up.

    Attributes:
        place: what it is called.
        running: statements that were asked and will be.
    """

    def __init__(
        self, connection: Any, place: str, links: Mapping[str, str], running: Running
    ) -> None:
        self._connection = connection
        self.place = place
        self._links = links
        self.running = running

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The answer of one statement.

        Raises:
            SourceError: what it reads cannot be read.
        """
        import duckdb  # noqa: PLC0415

        asked = self._connection
        try:
            found: list[tuple[Any, ...]] = self.running.run(
                lambda: asked.execute(statement).fetchall(), asked.interrupt, asked.query_progress
            )
        except duckdb.Error as error:
            raise unreadable(error, self.place, self._links) from None
        return found

    def define(self, name: str, function: Callable[[str], Any], gives: str) -> None:
        """Make a function of a text callable in statements."""
        self._connection.create_function(name, function, ["VARCHAR"], gives)

    def insert(self, table: str, columns: Mapping[str, Any]) -> None:
        """Add rows, as one array for each column."""
        self._connection.register("abctl_chunk", dict(columns))
        insert = f"INSERT INTO {table} SELECT * FROM abctl_chunk"
        _part(self.running, self._connection, lambda: self._connection.execute(insert))
        self._connection.unregister("abctl_chunk")


class Table(Adder):
    """Events, as statements of `sql` ask for them.

    Attributes:
        columns: their names.
    """

    def __init__(self, connection: Any, files: Files, running: Running) -> None:
        super().__init__(connection, files.place, files.links, running)
        self._files = files
        self.columns = [str(row[0]) for row in self.rows(f"DESCRIBE {EVENTS}")]

    def require(self, column: str, option: str) -> None:
        """That there is such a column.

        Raises:
            UsageError: there is none.
        """
        if column in self.columns:
            if f"{column}_1" in self.columns and self._header().count(column) > 1:
                raise UsageError(
                    f"{option} {printable(column)!r}: {self.place} has several such columns",
                    "give each a name of its own in its first line",
                )
            return
        self._require_lines()
        shown = list(map(printable, self.columns[:_SHOWN_COLUMNS]))
        if (more := len(self.columns) - _SHOWN_COLUMNS) > 0:
            shown.append(f"and {more} more")
        raise UsageError(
            f"{option} {printable(column)!r}: {self.place} has no such column",
            f"its columns: {', '.join(shown)}",
        )

    def _header(self) -> Sequence[str]:
        """The first line of a CSV as it stands: of equal names the engine makes different ones."""
        if self._files.kind != "csv":
            return ()
        first = f"read_csv({self._files.listed}, all_varchar = true, header = false)"
        return [str(name) for name in self.rows(f"SELECT * FROM {first} LIMIT 1")[0]]

    def _require_lines(self) -> None:
        """That a table of one column is one: what cannot be told apart is read as one.

        Raises:
            SourceError: its lines are no rows of cells, or no objects.
        """
        if len(self.columns) != 1:
            return
        (only,) = self.columns
        if self._files.kind == "jsonl" and only == "json":
            raise SourceError(
                f"{self.place} has no JSON object in each line",
                "of an array: jq -c '.[]' FILE > log.jsonl",
            )
        by = max(",;\t|", key=only.count)
        if self._files.kind == "csv" and (cells := only.count(by)):
            columns = ", ".join(f"{text(str(i))}: 'VARCHAR'" for i in range(cells + 1))
            told = f"delim = {text(by)}, header = true, columns = {{{columns}}}"
            read = f"read_csv({self._files.listed}, auto_detect = false, {told})"
            self.rows(f"SELECT * FROM {read}")


@contextmanager
def opened(
    events: str, format_: str | None = None, running: Running | None = None
) -> Iterator[Table]:
    """The table of files: a name, a glob, or `-` for stdin.

    Args:
        events: the name.
        format_: what they are; None where their endings say it.
        running: see `Adder`.

    Raises:
        UsageError: no such file, nobody says what it is, or DuckDB is not installed.
        SourceError: it is not what it is said to be.
    """
    _require()
    if format_ is not None and format_ not in get_args(Format):
        raise UsageError(f"--format {format_!r}", "csv, jsonl or parquet")
    with tempfile.TemporaryDirectory(prefix="abctl-events-") as room:
        files = Files.of(events, "--events", Path(room), cast("Format | None", format_))
        connection, running = _connected(room, files.links), running or Running()
        try:
            _declare(connection, EVENTS, files, running)
            yield Table(connection, files, running)
        finally:
            connection.close()


@contextmanager
def adder(
    views: Mapping[str, tuple[str, Mapping[str, str]]],
    *,
    zone: str = "UTC",
    database: str | None = None,
    running: Running | None = None,
) -> Iterator[Adder]:
    """DuckDB in memory.

    Args:
        views: by name a SELECT, and by each name in it the files that it stands for.
        zone: of times that do not say theirs.
        database: the file of a database, whose tables statements may name; it is only read.
        running: see `Adder`.

    Raises:
        UsageError: no such file, nobody says what it is, or DuckDB is not installed.
        SourceError: it is not what it is said to be.
    """
    _require()
    import duckdb  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="abctl-events-") as room:
        tables = {
            name: Files.of(named, "from", Path(room))
            for _, files in views.values()
            for name, named in files.items()
        }
        links = {link: name for each in tables.values() for link, name in each.links.items()}
        connection = _connected(room, links, zone, database)
        running = running or Running()
        try:
            for name, files in tables.items():
                _declare(connection, name, files, running)
            place = " and ".join(each.place for each in tables.values()) or database or "units"
            for name, (select, _) in views.items():
                try:
                    _create_view(connection, name, select, running)
                except duckdb.Error as error:
                    raise unreadable(error, place, links) from None
            yield Adder(connection, place, links, running)
        finally:
            connection.close()


def _require() -> None:
    try:
        import duckdb  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        raise lacks("DuckDB, which reads tables of events,", "tables") from None


def _connected(
    room: str, links: Mapping[str, str], zone: str = "UTC", database: str | None = None
) -> Any:
    """A connection that can read the files, and do nothing else to this machine."""
    import duckdb  # noqa: PLC0415

    if database is not None and not Path(database).is_file():
        raise UsageError(f"{printable(database)}: no such file", "a database of DuckDB")
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": MEMORY,
            "temp_directory": f"{room}/spill",
        },
    )
    try:
        # So it knows how far it is; a bar would be written to where the answer goes.
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")
        connection.execute(f"SET TimeZone = {text(zone)}")
        if database is not None:
            connection.execute(f"ATTACH {text(database)} AS abctl_given (READ_ONLY)")
            connection.execute("USE abctl_given")
        allowed = ", ".join(map(text, links))
        connection.execute(f"SET allowed_paths = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise unreadable(error, database or "DuckDB", links) from None
    return connection


def _part(running: Running, connection: Any, action: Callable[[], object]) -> None:
    """Whatever else the engine does for a statement; Ctrl-C ends it."""
    running.run(action, connection.interrupt, part=True)


def _create_view(connection: Any, name: str, select: str, running: Running) -> None:
    created = f"CREATE TEMP VIEW {quoted(name)} AS {select}"
    _part(running, connection, lambda: connection.execute(created))


def _declare(connection: Any, name: str, files: Files, running: Running) -> None:
    import duckdb  # noqa: PLC0415

    def declare() -> None:
        source = _source(connection, files.kind, files.listed)
        connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {source}")

    try:
        _part(running, connection, declare)
    except duckdb.Error as error:
        raise unreadable(error, files.place, files.links) from None


def _source(connection: Any, kind: str, listed: str) -> str:
    """What reads the files; of text all columns are texts, so that nothing is guessed of them."""
    if kind == "parquet":
        return f"read_parquet({listed}, union_by_name = true)"
    if kind == "csv":
        return f"read_csv({listed}, all_varchar = true, header = true, union_by_name = true)"
    options = "format = 'newline_delimited', union_by_name = true, sample_size = -1"
    describe = f"DESCRIBE SELECT * FROM read_json({listed}, {options})"
    seen = connection.execute(describe).fetchall()
    columns = ", ".join(f"{quoted(str(name))}: 'VARCHAR'" for name, *_ in seen)
    return f"read_json({listed}, format = 'newline_delimited', columns = {{{columns}}})"
