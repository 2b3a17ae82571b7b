"""What the collector remembers (SQLite): feedback that waits, who was exposed, and the counts.

An outcome belongs to the moment of its prediction. It waits until its prediction has reached the
outcome's maturity; then it is counted, whenever it came in between. So at any moment the counts
hold everything about predictions made up to `now - maturity`, and nothing about later ones.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ab_runtime.collector.outcome import AGE_PARTS, GROUPS, Item, Outcome
from ab_runtime.variant import NO_BUCKET

Told = Literal["counted", "duplicate", "early", "late", "lost"]
# Clocks of servers may be ahead of the collector's by this much.
_AHEAD_MS = 60_000
_NO_CAP = 1e300
_CELLS = len(AGE_PARTS) + 1
# Returns are seen this many times finer than the least time after which one counts.
_AGAIN_PARTS = 24

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
  outcome TEXT, nonce TEXT, event TEXT, variant TEXT, bucket TEXT, at_ms INTEGER, value REAL,
  age_ms INTEGER, PRIMARY KEY (outcome, nonce, event)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting_at ON waiting (outcome, at_ms);
CREATE TABLE IF NOT EXISTS users (
  unit TEXT PRIMARY KEY, variant TEXT, bucket TEXT, first_ms INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS users_at ON users (first_ms);
CREATE TABLE IF NOT EXISTS user_values (
  outcome TEXT, unit TEXT, value REAL, PRIMARY KEY (outcome, unit)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
  per TEXT, outcome TEXT, variant TEXT, bucket TEXT,
  n INTEGER, hits INTEGER, positive REAL, negative REAL, sumsq REAL,
  PRIMARY KEY (per, outcome, variant, bucket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ages (
  outcome TEXT, variant TEXT, grp INTEGER, hit INTEGER, cell INTEGER, n INTEGER,
  PRIMARY KEY (outcome, variant, grp, hit, cell)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
  what TEXT, variant TEXT, n INTEGER, PRIMARY KEY (what, variant)) WITHOUT ROWID;
"""
_DUE_OUTCOMES = """
SELECT 'outcome', outcome, variant, bucket,
  count(*), sum(v > 0), sum(max(v, 0)), sum(max(-v, 0)), sum(v * v)
FROM (
  SELECT outcome, variant, bucket, max(-?3, min(?3, value)) AS v
  FROM waiting WHERE outcome = ?1 AND at_ms <= ?2
) GROUP BY variant, bucket
"""
_ADD_AGES = """
INSERT INTO ages
SELECT outcome, variant, CAST(bucket AS INTEGER) % ?5, value > 0,
  (age_ms > ?3) + (age_ms > ?4), count(*)
FROM waiting WHERE outcome = ?1 AND at_ms <= ?2 AND bucket != ?6 AND age_ms IS NOT NULL
GROUP BY 2, 3, 4, 5
ON CONFLICT DO UPDATE SET n = n + excluded.n
"""
_DUE_USERS = """
SELECT 'user', ?1, variant, bucket,
  count(*), sum(v > 0), sum(max(v, 0)), sum(max(-v, 0)), sum(v * v)
FROM (
  SELECT u.variant, u.bucket, max(-?4, min(?4, coalesce(x.value, 0))) AS v
  FROM users u LEFT JOIN user_values x ON x.unit = u.unit AND x.outcome = ?1
  WHERE u.first_ms > ?2 AND u.first_ms <= ?3
) GROUP BY variant, bucket
"""
_ADD = """
INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + excluded.n, hits = hits + excluded.hits,
  positive = positive + excluded.positive, negative = negative + excluded.negative,
  sumsq = sumsq + excluded.sumsq
"""
_TELL = "INSERT INTO told VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"


@dataclass(frozen=True)
class Count:
    """A row of the counts; `per` is `outcome` or `user`, `hits` are the values above zero."""

    per: str
    outcome: str
    variant: str
    bucket: str
    n: int
    hits: int
    positive: float
    negative: float
    sumsq: float


class Store:
    """The collector's memory. One process writes; a method is a transaction, or part of `together`.

    `created_ms` is when this memory began: its counts began at zero then.

    Raises:
        sqlite3.Error: the file cannot be opened or written.
    """

    def __init__(self, path: Path | str, outcomes: Mapping[str, Outcome], now_ms: int) -> None:
        self._outcomes = outcomes
        self._ages = {
            name: [each for each in outcomes.values() if (each.of or each.name) == name]
            for name in outcomes
        }
        self._returns = [each for each in outcomes.values() if each.kind == "return"]
        self._shortest_ms = min((each.maturity_ms for each in outcomes.values()), default=0)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        if "age_ms" not in {row[1] for row in self._db.execute("PRAGMA table_info(waiting)")}:
            self._db.execute("ALTER TABLE waiting ADD COLUMN age_ms INTEGER")  # a memory of before
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('created_ms', ?)", (now_ms,))
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('released_ms', ?)", (now_ms,))
        self.created_ms = self._meta("created_ms")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def together(self) -> AbstractContextManager[object]:
        """Everything within is one transaction."""
        return self._transaction()

    @property
    def released_ms(self) -> int:
        """Up to which moment what had matured is counted."""
        return self._meta("released_ms")

    @property
    def again_ms(self) -> int | None:
        """How long after a user was told of a server tells of the same one again; None: never."""
        return min((each.after_ms // _AGAIN_PARTS for each in self._returns), default=None)

    def take(self, items: Iterable[Item], now_ms: int) -> list[Told]:
        """Remember reports until they are due; what became of each, in their order.

        `late`: the prediction has reached its maturity. `lost`: it was made before this memory
        began, so whether it was counted before is not known. `early`: it is of the future.
        """
        with self._transaction():
            # What is due by now is due without what comes in now.
            now_ms = self._release(now_ms)
            return [self._told(item.token.variant, self._take(item, now_ms)) for item in items]

    def expose(self, variant: str, units: Iterable[tuple[str, str, int]], now_ms: int) -> int:
        """Remember units (hash, bucket, first answer) that a variant answered; how many were late.

        A unit counts once, for the variant that answered it first.
        """
        with self._transaction():
            now_ms = self._release(now_ms)
            late = sum(
                not self._expose(unit, variant, bucket, at_ms, now_ms)
                for unit, bucket, at_ms in units
            )
            if late:
                self._db.execute(_TELL, ("lateExposure", variant, late))
        return late

    def refuse(self, what: str, n: int) -> None:
        """Remember that reports were refused before they reached the store, and why."""
        with self._transaction():
            self._db.execute(_TELL, (what, "", n))

    def release(self, now_ms: int) -> None:
        """Count everything that is due."""
        with self._transaction():
            self._release(now_ms)

    def counts(self) -> Iterator[Count]:
        """What has been counted."""
        for row in self._db.execute("SELECT * FROM counts"):
            yield Count(*row)

    def ages(self) -> dict[tuple[str, str, int, bool], tuple[int, ...]]:
        """How many reports came at which age, by outcome, variant, group of buckets, and hit.

        A cell for each of `Outcome.ages_ms`, and the last one for what came later.
        """
        found: dict[tuple[str, str, int, bool], list[int]] = {}
        for outcome, variant, group, hit, cell, n in self._db.execute("SELECT * FROM ages"):
            cells = found.setdefault((outcome, variant, group, bool(hit)), [0] * _CELLS)
            cells[cell] = n
        return {key: tuple(cells) for key, cells in found.items()}

    def told(self) -> dict[tuple[str, str], int]:
        """What became of all reports, by what (see `take`) and variant."""
        return {(what, name): n for what, name, n in self._db.execute("SELECT * FROM told")}

    def waiting(self) -> dict[tuple[str, str], int]:
        """How many reports wait, by outcome and variant."""
        query = "SELECT outcome, variant, count(*) FROM waiting GROUP BY outcome, variant"
        return {(outcome, variant): n for outcome, variant, n in self._db.execute(query)}

    def _take(self, item: Item, now_ms: int) -> Told:
        token, outcome = item.token, item.outcome
        if token.at_ms < self.created_ms:
            return "lost"
        if token.at_ms > now_ms + _AHEAD_MS:
            return "early"
        if token.at_ms <= now_ms - outcome.maturity_ms:
            return "late"
        if not self._wait(outcome, item, now_ms):
            return "duplicate"
        ages = [a for a in self._ages[outcome.name] if token.at_ms > now_ms - a.maturity_ms]
        for age in ages:
            if age != outcome:
                self._wait(age, item, now_ms)
        if token.unit is not None:
            self._expose(token.unit, token.variant, token.bucket, token.at_ms, now_ms)
            for age in ages:
                self._add_to_user(token.unit, age, item, now_ms)
        return "counted"

    def _wait(self, outcome: Outcome, item: Item, now_ms: int) -> bool:
        """Remember a report until it is due; False if it is known."""
        token, event = item.token, item.event if outcome.times == "many" else ""
        place = (outcome.name, token.nonce, event, token.variant, token.bucket)
        added = self._db.execute(
            "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, token.at_ms, item.value, now_ms - token.at_ms),
        )
        return added.rowcount > 0

    def _told(self, variant: str, what: Told) -> Told:
        self._db.execute(_TELL, (what, variant, 1))
        return what

    def _first_ms(self, unit: str) -> int | None:
        query = "SELECT first_ms FROM users WHERE unit = ?"
        found = self._db.execute(query, (unit,)).fetchone()
        return None if found is None else int(found[0])

    def _add_to_user(self, unit: str, outcome: Outcome, item: Item, now_ms: int) -> None:
        first_ms = self._first_ms(unit)
        if first_ms is None or first_ms <= now_ms - outcome.maturity_ms:
            return  # the user is counted already, or was too old to be
        if item.at_ms < first_ms + outcome.window_ms:
            self._db.execute(
                "INSERT INTO user_values VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET value = value + excluded.value",
                (outcome.name, unit, item.value),
            )

    def _expose(self, unit: str, variant: str, bucket: str, at_ms: int, now_ms: int) -> bool:
        """Remember a user's first answer; False if it comes too late for that."""
        known_ms = self._first_ms(unit)
        if at_ms < self.created_ms or at_ms <= now_ms - self._shortest_ms:
            if known_ms is not None:
                self._return(unit, known_ms, at_ms, now_ms)
            return known_ms is not None
        if known_ms is not None:
            self._return(unit, min(known_ms, at_ms), max(known_ms, at_ms), now_ms)
        self._db.execute(
            "INSERT INTO users VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "variant = excluded.variant, bucket = excluded.bucket, first_ms = excluded.first_ms "
            "WHERE excluded.first_ms < first_ms",
            (unit, variant, bucket, at_ms),
        )
        return True

    def _return(self, unit: str, first_ms: int, again_ms: int, now_ms: int) -> None:
        """Remember that a user was answered again, if that is a return that is not counted yet."""
        for outcome in self._returns:
            waits = first_ms > now_ms - outcome.maturity_ms
            if waits and first_ms + outcome.after_ms <= again_ms < first_ms + outcome.window_ms:
                self._db.execute(
                    "INSERT OR IGNORE INTO user_values VALUES (?, ?, 1)", (outcome.name, unit)
                )

    def _release(self, now_ms: int) -> int:
        """Count what is due; the moment of it, which never goes back."""
        before_ms = self.released_ms
        if now_ms <= before_ms:
            return before_ms
        for outcome in self._outcomes.values():
            due_ms = now_ms - outcome.maturity_ms
            self._release_outcomes(outcome, due_ms)
            self._release_users(outcome, before_ms - outcome.maturity_ms, due_ms)
        self._db.execute("UPDATE meta SET value = ? WHERE name = 'released_ms'", (now_ms,))
        return now_ms

    def _release_outcomes(self, outcome: Outcome, due_ms: int) -> None:
        key = (outcome.name, due_ms)
        rows = self._db.execute(_DUE_OUTCOMES, (*key, outcome.cap or _NO_CAP)).fetchall()
        self._db.executemany(_ADD, rows)
        if rows:
            if outcome.is_reported:
                self._db.execute(_ADD_AGES, (*key, *outcome.ages_ms, GROUPS, NO_BUCKET))
            self._db.execute("DELETE FROM waiting WHERE outcome = ? AND at_ms <= ?", key)

    def _release_users(self, outcome: Outcome, from_ms: int, due_ms: int) -> None:
        """Count the users whose first answer has reached the maturity since the last time."""
        asked = (outcome.name, from_ms, due_ms, outcome.cap or _NO_CAP)
        rows = self._db.execute(_DUE_USERS, asked).fetchall()
        self._db.executemany(_ADD, rows)
        if rows:
            self._db.execute(
                "DELETE FROM user_values WHERE outcome = ? AND unit IN "
                "(SELECT unit FROM users WHERE first_ms > ? AND first_ms <= ?)",
                (outcome.name, from_ms, due_ms),
            )

    def _meta(self, name: str) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(found[0])

    def _transaction(self) -> AbstractContextManager[object]:
        return nullcontext() if self._db.in_transaction else _Transaction(self._db)


class _Transaction:
    """All of it, or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
        finally:
            # It failed here or before; SQLite ends some that fail by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
