"""The SQL that is asked of tables of exposures and events, in the words of each engine (pure).

One row comes back for each unit: when it saw which variant, and what it did within each metric's
window. It is written once, in a subset that all engines have, and sqlglot says it in the words of
each. Every alias is new, names are quoted as they are written, and texts are literals.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from abctl.core.experiment import Experiment, Metric
from abctl.core.tables import Tables
from abctl.tables.relations import EVENTS, EXPOSURES, written
from abctl.tables.segments import MOST_VALUES, By, only
from abctl.tables.written import quoted, text

# Beyond it a square is no number.
LARGEST = "1E150"
_SESSIONS: Mapping[str, str] = {
    "duckdb": "SET TimeZone = {zone}",
    "postgres": "SET TIME ZONE {zone}",
    "trino": "SET TIME ZONE {zone}",
    "spark": "SET TIME ZONE {zone}",
    "clickhouse": "SET session_timezone = {zone}",
    "bigquery": "SET @@time_zone = {zone}",
    "snowflake": "ALTER SESSION SET TIMEZONE = {zone}",
    "databricks": "SET TIME ZONE {zone}",
    "redshift": "SET timezone TO {zone}",
}


@dataclass(frozen=True)
class Asked:
    """What is asked of tables.

    Attributes:
        tables: where they are.
        names: of the variants, the control first.
        metrics: that are taken from them.
        since, until: which exposures count (unix seconds); without `since` all up to `until`.
        first_from: units whose first exposure was before are left out; None: none is.
        segments: columns of exposures by whose values units are told apart.
    """

    tables: Tables
    names: tuple[str, ...]
    metrics: tuple[Metric, ...]
    since: float | None
    until: float
    first_from: float | None = None
    segments: tuple[By, ...] = ()

    @classmethod
    def of(cls, experiment: Experiment, since: float | None, until: float) -> "Asked":
        """What an experiment asks."""
        source = experiment.source
        assert source is not None
        assert source.tables is not None, "whoever asks knows of tables"
        metrics = experiment.by_tables.metrics
        by = tuple(By(column) for column in dict.fromkeys(source.tables.exposures.segments))
        names = experiment.split.names
        return cls(source.tables, names, metrics, since, until, segments=by)

    @property
    def events(self) -> tuple[str, ...]:
        """The names of events that metrics are of."""
        found = (name for m in self.metrics for name in (m.of, m.over) if name)
        return tuple(dict.fromkeys(found))

    @property
    def windows(self) -> tuple[float, ...]:
        """How long after its first exposure (seconds) events of a unit count, each once."""
        return tuple(dict.fromkeys(m.window_seconds or 0.0 for m in self.metrics))

    @property
    def afters(self) -> tuple[float, ...]:
        """From when after it on, each once; those that count at once have none."""
        return tuple(dict.fromkeys(m.after_seconds for m in self.metrics if m.after_seconds))

    @property
    def befores(self) -> tuple[float, ...]:
        """How long before it the covariates begin, each once."""
        return tuple(dict.fromkeys(m.before_seconds for m in self.metrics if m.before_seconds))


def session(tables: Tables) -> tuple[str, ...]:
    """What comes first: that nothing is written, and the zone of times that do not say theirs."""
    zone = _SESSIONS[tables.engine].format(zone=text(tables.timezone))
    read_only = ("SET TRANSACTION READ ONLY",) if tables.engine == "postgres" else ()
    return (*read_only, zone)


def unit_rows(asked: Asked) -> str:
    """One row for each unit that was exposed; `columns` says what is in it."""
    parts, select = unit_parts(asked)
    return written(asked.tables, f"WITH {', '.join(parts)} {select}")


def unit_parts(asked: Asked) -> tuple[tuple[str, ...], str]:
    """The same in parts: what WITH has, and the SELECT that takes from it."""
    listed = ", ".join(f"{each} AS {name}" for name, each in _columns(asked))
    joined = "units AS u LEFT JOIN facts AS f ON f.unit_at = u.unit_of"
    parts = [exposures_read(asked), _units(asked), events_read(asked), facts_read(asked)]
    if asked.segments:
        joined += " LEFT JOIN starts AS s ON s.unit_in = u.unit_of"
        parts.insert(2, _starts(asked))
    return tuple(parts), f"SELECT {listed} FROM {joined} GROUP BY u.unit_of"


def columns(asked: Asked) -> tuple[str, ...]:
    """What is in a row of a unit: its id, its exposures, times, and the numbers of each metric."""
    return tuple(name for name, _ in _columns(asked))


def moment(asked: Asked, seconds: float) -> str:
    """A time (unix seconds), as the engine compares it with others."""
    instant = datetime.fromtimestamp(seconds, UTC)
    if asked.tables.engine == "clickhouse":  # reads no offset; the session has the time zone
        local = instant.astimezone(asked.tables.zone).replace(tzinfo=None)
        return f"CAST({text(local.isoformat(' ', 'microseconds'))} AS TIMESTAMPTZ)"
    return f"CAST({text(instant.isoformat(' ', 'microseconds'))} AS TIMESTAMPTZ)"


def counted(condition: str) -> str:
    """How many rows are so."""
    return f"SUM(CASE WHEN {condition} THEN 1 ELSE 0 END)"


def _columns(asked: Asked) -> Iterator[tuple[str, str]]:
    yield "unit_id", "u.unit_of"
    yield "seen_rows", "MIN(u.rows_of)"
    yield "first_at", "MIN(u.first_seen)"
    for k in range(len(asked.names)):
        yield f"first_{k}", f"MIN(u.from_{k})"
        yield f"last_{k}", f"MIN(u.to_{k})"
    for k in range(len(asked.segments)):
        yield f"segment_{k}", only(f"MIN(s.low_{k})", f"MIN(s.high_{k})")
    for i, metric in enumerate(asked.metrics):
        for name, (of, value, when) in _values(asked, metric).items():
            known = f"f.what_of = {text(of)} AND {when}"
            if value == "bad":
                yield f"{name}_{i}", counted(f"{known} AND f.sound_of = 0")
            elif value in ("any", "came"):
                some = f"{known} AND f.sound_of = 1 AND f.number_of <> 0"
                some = known if value == "came" else some
                yield f"{name}_{i}", f"MAX(CASE WHEN {some} THEN 1.0 ELSE 0.0 END)"
            else:
                counts = known if value == "events" else f"{known} AND f.sound_of = 1"
                number = "f.number_of" if value == "sum" else "1.0"
                yield f"{name}_{i}", f"SUM(CASE WHEN {counts} THEN {number} ELSE 0.0 END)"


def _values(asked: Asked, metric: Metric) -> Mapping[str, tuple[str, str, str]]:
    """The numbers of a metric, by column: of which event, what of it, and when.

    `y` is over `d` where it is a ratio, `x` over `e` the same before the first exposure; `bad` are
    events that have no number, though they need one.
    """
    window = asked.windows.index(metric.window_seconds or 0.0)
    begins = "first_seen"
    if metric.after_seconds:
        begins = f"after_{asked.afters.index(metric.after_seconds)}"
    during = f"f.happened_at >= u.{begins} AND f.happened_at < u.until_{window}"
    before = ""
    if metric.before_seconds:
        since = asked.befores.index(metric.before_seconds)
        before = f"f.happened_at < u.first_seen AND f.happened_at >= u.since_{since}"
    any_or_sum = "sum" if metric.per == "outcome" else "any"
    numerator = {"rate": "events", "retention": "came", "proportion": any_or_sum}
    top = numerator.get(metric.kind, "sum")
    below = None
    if metric.kind == "ratio":
        below = (metric.over or "", "sum")
    elif metric.per == "outcome":
        below = (metric.of, "count")
    found = dict[str, tuple[str, str, str]]()
    for when, (y, d, bad) in ((during, ("y", "d", "bad")), (before, ("x", "e", "bad_x"))):
        if not when:
            continue
        found[y] = (metric.of, top, when)
        if below is not None:
            found[d] = (*below, when)
        if top not in ("events", "came"):
            found[bad] = (metric.of, "bad", when)
        if below is not None and below[0] != metric.of:
            found[f"{bad}_d"] = (below[0], "bad", when)
    return found


def exposures_read(asked: Asked, *, texts_of: By | None = None) -> str:
    """What WITH calls `exposures_read`: whose, of which variant, when, and of which segments."""
    rows = asked.tables.exposures
    segments = "".join(
        f", {by.code(_id(asked, by.column))} AS code_{k}" for k, by in enumerate(asked.segments)
    )
    if texts_of is not None:
        segments = f", {_id(asked, texts_of.column)} AS segment_text"
    return (
        f"exposures_read AS (SELECT {_id(asked, rows.unit)} AS unit_of, "
        f"{_id(asked, rows.variant)} AS arm_of, {_time(asked, rows.at)} AS seen_at{segments} "
        f"FROM {EXPOSURES} AS t)"
    )


def segment_values(asked: Asked, by: By) -> str:
    """The most frequent values of a column of segments."""
    when = f"seen_at < {moment(asked, asked.until)}"
    if asked.since is not None:
        when += f" AND seen_at >= {moment(asked, asked.since)}"
    return written(
        asked.tables,
        f"WITH {exposures_read(asked, texts_of=by)} SELECT segment_text, COUNT(*) AS rows_of "
        f"FROM exposures_read WHERE unit_of IS NOT NULL AND arm_of IN ({texts(asked.names)}) "
        f"AND {when} AND segment_text IS NOT NULL GROUP BY segment_text "
        f"ORDER BY rows_of DESC, segment_text LIMIT {MOST_VALUES}",
    )


def _starts(asked: Asked) -> str:
    """The segments of each unit, as its first exposure has them."""
    codes = ", ".join(
        f"MIN(e.code_{k}) AS low_{k}, MAX(e.code_{k}) AS high_{k}"
        for k in range(len(asked.segments))
    )
    return (
        f"starts AS (SELECT e.unit_of AS unit_in, {codes} FROM exposures_read AS e JOIN units AS w "
        f"ON w.unit_of = e.unit_of AND w.first_seen = e.seen_at "
        f"WHERE e.arm_of IN ({texts(asked.names)}) GROUP BY e.unit_of)"
    )


def events_read(asked: Asked) -> str:
    """What WITH calls `events_read`: whose, when, what, and its number."""
    rows = asked.tables.events
    number = "CAST(1.0 AS DOUBLE)" if rows.value is None else _number(asked, rows.value)
    return (
        f"events_read AS (SELECT {_id(asked, rows.unit)} AS unit_at, "
        f"{_time(asked, rows.at)} AS happened_at, {_id(asked, rows.name)} AS what_of, "
        f"{number} AS number_of FROM {EVENTS} AS t)"
    )


def _units(asked: Asked) -> str:
    times = list[str]()
    for k, name in enumerate(asked.names):
        seen = f"CASE WHEN arm_of = {text(name)} THEN seen_at END"
        times += [f"MIN({seen}) AS from_{k}", f"MAX({seen}) AS to_{k}"]
    for k, window in enumerate(asked.windows):
        times.append(f"MIN(seen_at) + {_interval(window)} AS until_{k}")
    for k, after in enumerate(asked.afters):
        times.append(f"MIN(seen_at) + {_interval(after)} AS after_{k}")
    for k, before in enumerate(asked.befores):
        times.append(f"MIN(seen_at) - {_interval(before)} AS since_{k}")
    since = "" if asked.since is None else f"seen_at >= {moment(asked, asked.since)} AND "
    later = ""
    if asked.first_from is not None:
        later = f" HAVING MIN(seen_at) >= {moment(asked, asked.first_from)}"
    return (
        f"units AS (SELECT unit_of, COUNT(*) AS rows_of, MIN(seen_at) AS first_seen, "
        f"{', '.join(times)} FROM exposures_read WHERE {since}"
        f"seen_at < {moment(asked, asked.until)} AND unit_of IS NOT NULL "
        f"AND arm_of IN ({texts(asked.names)}) GROUP BY unit_of{later})"
    )


def facts_read(asked: Asked) -> str:
    """What WITH calls `facts`: events that any metric may take."""
    since, first = "", asked.since if asked.first_from is None else asked.first_from
    if first is not None:
        begin = first - max(asked.befores, default=0.0)
        since = f"happened_at >= {moment(asked, begin)} AND "
    return (
        "facts AS (SELECT unit_at, happened_at, what_of, number_of, "
        f"CASE WHEN ABS(number_of) <= {LARGEST} THEN 1 ELSE 0 END AS sound_of FROM events_read "
        f"WHERE {since}happened_at < {moment(asked, asked.until)} "
        f"AND what_of IN ({texts(asked.events)}))"
    )


def texts(values: Sequence[str]) -> str:
    """Texts as a list."""
    return ", ".join(map(text, values))


def _interval(seconds: float) -> str:
    return f"INTERVAL '{round(seconds)}' SECOND"


def _id(asked: Asked, column: str) -> str:
    """A text; of files, an empty one is none."""
    read = f"CAST(t.{quoted(column)} AS TEXT)"
    return f"NULLIF(TRIM({read}), '')" if _of_texts(asked) else f"NULLIF({read}, '')"


def _time(asked: Asked, column: str) -> str:
    return f"{'TRY_CAST' if _of_texts(asked) else 'CAST'}(t.{quoted(column)} AS TIMESTAMPTZ)"


def _number(asked: Asked, column: str) -> str:
    return f"{'TRY_CAST' if _of_texts(asked) else 'CAST'}(t.{quoted(column)} AS DOUBLE)"


def _of_texts(asked: Asked) -> bool:
    """Whether columns may be texts that are no number or time, as those of files are."""
    return asked.tables.engine == "duckdb"
