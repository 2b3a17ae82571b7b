"""The ledger: which split was in effect when, who changed it and why.

It lives in the world that is changed, in the ConfigMap `abctl-<experiment>`, together with the
plan that was locked when the experiment started. Entries are only ever appended:

    intent     somebody is about to change the split; from here on it is not known which one holds
    applied    the platform has taken it
    reverted   the intent was given up and the old split is in effect again
    observed   the platform has another split that abctl did not set
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from abctl.core.change import EXPERIMENT, Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.core.time import format_moment, parse_moment
from abctl.errors import AbctlError, ClusterError

Phase = Literal["intent", "applied", "reverted", "observed"]

LEDGER_PREFIX = "abctl-"
_PLAN, _DIGEST, _LEDGER = "plan.json", "digest", "ledger.jsonl"
_RESTORE = "without its ledger an experiment cannot be judged: restore it from a backup"
# What may change while the experiment runs: the split does by shifts, the source is only read.
_NOT_LOCKED = ("split", "source")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger: at `at` (unix seconds) the split went `before` -> `after`.

    >>> half = Split(("control", "treatment"), (5000, 5000))
    >>> Entry(0.0, "ann", before=None, after=half, why="start", phase="applied").after.short
    '50/50'
    """

    at: float
    actor: str
    before: Split | None
    after: Split
    why: str
    phase: Phase


@dataclass(frozen=True)
class Epoch:
    """A period (unix seconds) in which one split was in effect.

    >>> epoch = Epoch(60.0, 600.0, Split(("control", "treatment"), (5000, 5000)))
    >>> epoch.end - epoch.start, epoch.certain
    (540.0, True)

    `certain` is False where a change behind abctl's back ended it: it was noticed at `end`, but
    may be older.
    """

    start: float
    end: float
    split: Split
    certain: bool = True


@dataclass(frozen=True)
class Ledger:
    """The locked plan (JSON, and its SHA-256) and everything that happened since.

    >>> tenth, half = (Split(("control", "treatment"), (10_000 - bp, bp)) for bp in (1000, 5000))
    >>> start = Entry(0.0, "ann", None, tenth, "start", "applied")
    >>> shift = Entry(600.0, "ann", tenth, half, "no errors so far", "applied")
    >>> ledger = Ledger("{}").with_entry(start).with_entry(shift)
    >>> [(e.start, e.end, e.split.short) for e in ledger.epochs(end=900.0, settle_seconds=60.0)]
    [(60.0, 600.0, '90/10'), (660.0, 900.0, '50/50')]
    """

    plan: str
    entries: tuple[Entry, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of the plan."""
        return hashlib.sha256(self.plan.encode()).hexdigest()

    @property
    def intent(self) -> Entry | None:
        """The last entry, if it is an intent that nobody has finished or reverted."""
        last = self.entries[-1] if self.entries else None
        return last if last and last.phase == "intent" else None

    @property
    def desired(self) -> Split | None:
        """The split of the last entry that is in effect; None before the first."""
        done = [entry.after for entry in self.entries if entry.phase != "intent"]
        return done[-1] if done else None

    @property
    def wanted(self) -> Split:
        """Where the last entry leads; the first entry is written with the ledger itself."""
        return self.entries[-1].after

    @property
    def expected(self) -> tuple[Split | None, ...]:
        """What the platform's object may ask for, if nobody changed it behind abctl's back."""
        if self.intent:
            return (self.intent.before, self.intent.after)
        return (self.desired,)

    def with_entry(self, entry: Entry) -> "Ledger":
        """The ledger with one more entry.

        Clocks of different machines differ: an entry is never earlier than the one before it.
        """
        last = self.entries[-1].at if self.entries else entry.at
        return replace(self, entries=(*self.entries, replace(entry, at=max(last, _ms(entry.at)))))

    def epochs(self, end: float, settle_seconds: float) -> tuple[Epoch, ...]:
        """Every period of one constant split up to `end`, without what follows a change.

        Left out are the time between an intent and its outcome, and `settle_seconds` after each
        change. A period of which nothing is left is no epoch.
        """
        found: list[Epoch] = []
        for entry, following in zip(self.entries, (*self.entries[1:], None), strict=True):
            if entry.phase != "intent":
                until = following.at if following else end
                certain = following is None or following.phase != "observed"
                found.append(Epoch(entry.at + settle_seconds, until, entry.after, certain))
        return tuple(epoch for epoch in found if epoch.start < epoch.end)

    def counts_from(self, settle_seconds: float) -> float | None:
        """From when on requests count for the present split (unix seconds).

        None while a change of it is not finished.
        """
        last = self.entries[-1] if self.entries else None
        return None if last is None or last.phase == "intent" else last.at + settle_seconds

    @property
    def changing_since(self) -> float:
        """When the last change of the split began (unix seconds)."""
        *_, last = entries = self.entries[-2:]
        return entries[0].at if entries[0].phase == "intent" else last.at

    def changed_since(self, experiment: Experiment) -> tuple[str, ...]:
        """The parts of the experiment that differ from the locked plan."""
        locked, now = json.loads(self.plan), json.loads(locked_plan(experiment))
        return tuple(key for key in now if now[key] != locked.get(key))


def ledger_ref(experiment: Experiment) -> Ref:
    """The address of the ledger's ConfigMap."""
    return Ref("v1", "ConfigMap", experiment.namespace, f"{LEDGER_PREFIX}{experiment.name}")


def locked_plan(experiment: Experiment) -> str:
    """What must stay as it is from the first request on, as canonical JSON."""
    data = {k: v for k, v in asdict(experiment).items() if k not in _NOT_LOCKED}
    return json.dumps(data, sort_keys=True, indent=1)


def new_object(experiment: Experiment, first: Entry) -> Object:
    """The ConfigMap of an experiment whose start is intended."""
    ref = ledger_ref(experiment)
    meta = {
        "name": ref.name,
        "namespace": ref.namespace,
        "labels": {EXPERIMENT: experiment.name},
    }
    bare = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta}
    return with_ledger(bare, Ledger(locked_plan(experiment)).with_entry(first))


def with_ledger(obj: Object, ledger: Ledger) -> Object:
    """A copy of the ConfigMap with another ledger in it."""
    lines = "".join(f"{json.dumps(_to_json(entry))}\n" for entry in ledger.entries)
    return {**obj, "data": {_PLAN: ledger.plan, _DIGEST: ledger.digest, _LEDGER: lines}}


def ledger_of(obj: Object) -> Ledger:
    """The ledger in a ConfigMap.

    Raises:
        ClusterError: it is damaged, with the line.
    """
    place, number = str(Ref.of(obj)), 0
    try:
        data, entries = obj["data"], []
        for number, line in enumerate(data[_LEDGER].splitlines(), 1):  # noqa: B007 - for the error
            entries.append(_from_json(json.loads(line)))
        ledger = Ledger(data[_PLAN], tuple(entries))
        digest = data[_DIGEST]
    except (AbctlError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ClusterError(
            f"{place}: {_LEDGER} line {number} is damaged ({type(error).__name__}: {error})",
            _RESTORE,
        ) from error
    if not entries:
        raise ClusterError(f"{place}: {_LEDGER} is empty", _RESTORE)
    if digest != ledger.digest:
        raise ClusterError(
            f"{place}: the locked plan was altered after the start",
            "a plan that changes with the data proves nothing: restore it, or start anew",
        )
    return ledger


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "at": format_moment(entry.at),
        "actor": entry.actor,
        "from": None if entry.before is None else _shares(entry.before),
        "to": _shares(entry.after),
        "why": entry.why,
        "phase": entry.phase,
    }


def _from_json(data: dict[str, Any]) -> Entry:
    before = data["from"]
    if data["phase"] not in get_args(Phase):
        raise ValueError(f"phase {data['phase']!r}")
    return Entry(
        at=_ms(parse_moment(data["at"])),
        actor=data["actor"],
        before=None if before is None else _split(before),
        after=_split(data["to"]),
        why=data["why"],
        phase=data["phase"],
    )


def _shares(split: Split) -> dict[str, int]:
    return dict(zip(split.names, split.shares_bp, strict=True))


def _split(shares_bp: dict[str, int]) -> Split:
    return Split(tuple(shares_bp), tuple(shares_bp.values()))


def _ms(seconds: float) -> float:
    """Whole milliseconds, so that an entry stays the same when it is written and read."""
    return round(seconds, 3)
