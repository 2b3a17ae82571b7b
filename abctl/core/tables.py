"""Where tables of exposures and events are, and which of their columns say what."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

Engine = Literal[
    "duckdb",
    "postgres",
    "trino",
    "spark",
    "clickhouse",
    "bigquery",
    "snowflake",
    "databricks",
    "redshift",
]


@dataclass(frozen=True)
class Rows:
    """A table, and the columns that say who, when and what.

    >>> Rows("events", "user_id", "ts", name="event", value="amount").value
    'amount'

    Attributes:
        from_: a table, one SELECT, or for DuckDB a file or a glob of files.
        unit: the column of who was assigned.
        at: the column of when it was.
        variant: of exposures: the column of which variant was seen.
        name: of events: the column of what happened.
        value: of events: the column of its number; None where each counts as 1.
        segments: of exposures: columns by whose values results are told apart.
    """

    from_: str
    unit: str
    at: str
    variant: str = ""
    name: str = ""
    value: str | None = None
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tables:
    """Tables of exposures and of events.

    >>> exposures = Rows("exposures.csv", "user", "at", variant="variant")
    >>> Tables("duckdb", exposures, Rows("events.csv", "user", "at", name="event")).late_seconds
    0.0

    Attributes:
        engine: what reads them.
        connection: its arguments, nothing secret.
        connection_env: more of them, by the environment variables that hold them.
        timezone: of times that do not say theirs.
        late_seconds: how long after an event its row may come.
        folder: of the experiment file, at which names of files begin.
    """

    engine: Engine
    exposures: Rows
    events: Rows
    connection: Mapping[str, Any] = field(default_factory=dict)
    connection_env: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    late_seconds: float = 0.0
    folder: str = ""

    @property
    def zone(self) -> tzinfo:
        """The time zone; UTC also where no other is known."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    @property
    def definition(self) -> str:
        """A digest of what the numbers are of: of rows and times, and not of where they are read.

        >>> seen = Rows("exposures.csv", "user", "at", variant="variant")
        >>> one = Tables("duckdb", seen, Rows("events.csv", "user", "at", name="event"))
        >>> one.definition == Tables("trino", one.exposures, one.events).definition
        True
        """
        rows = [asdict(each) for each in (self.exposures, self.events)]
        for each in rows:
            del each["segments"]  # which decide nothing
        said = [*rows, self.timezone, self.late_seconds]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cap:
    """What a larger number of a unit counts as.

    >>> Cap(0.999, of_values=True)  # what 99.9% of the units have at most
    Cap(at=0.999, of_values=True)

    Attributes:
        at: the number; or the share of the units that have at most that.
        of_values: whether it is a share.
    """

    at: float
    of_values: bool
