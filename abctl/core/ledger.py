"""The ledger: which split was in effect when, who changed it and why.

It lives in the world that is changed, in the ConfigMap `abctl-<experiment>`, together with the
plan that was locked when the experiment started. Entries are only ever appended:

    intent     somebody is about to change the split; from here on it is not known which one holds
    applied    the platform has taken it
    reverted   the intent was given up and the old split is in effect again
    observed   the platform has another split that abctl did not set
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Literal

from abctl.core.change import Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split

Phase = Literal["intent", "applied", "reverted", "observed"]

LEDGER_PREFIX = "abctl-"
# What may change while the experiment runs: the split does by shifts, the source is only read.
NOT_LOCKED = frozenset(("split", "source", "written"))
# What the ledger's address says; everything else is a part of the file's spec.
_OF_ADDRESS = frozenset(("name", "namespace"))


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
    """The locked plan (JSON, by `abctl.forms.plan`) and everything that happened since.

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

    @cached_property
    def _document(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.plan)
        return found

    @property
    def locked(self) -> Mapping[str, Any]:
        """Every part of the experiment as it was locked, with the defaults of then."""
        found: Mapping[str, Any] = self._document.get("resolved", self._document)
        return found

    @property
    def without_plan(self) -> bool:
        """Whether a shift of KIND/NAME began it: then no plan was locked, and any file fits."""
        if not self.entries or self.entries[0].phase != "observed":
            return False
        return not self.locked.get("metrics")

    def changed_since(self, experiment: Experiment) -> tuple[str, ...]:
        """The parts of the experiment that differ from the locked plan.

        A part that is written as it was is the same, whatever is meant today by what it leaves
        out; and so is one that is written otherwise, but means what was locked. Without a plan
        nothing differs.
        """
        if self.without_plan:
            return ()
        locked, then, now = self.locked, self._document.get("spec"), experiment.written
        changed = (
            each.name
            for each in fields(experiment)
            if each.name not in NOT_LOCKED
            and not (then and now and _written_alike(each.name, then, now))
            and _differs(each, experiment, locked)
        )
        return tuple(sorted(changed))


def _written_alike(part: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return part not in _OF_ADDRESS and then.get(part) == locked_words(now).get(part)


def locked_words(written: Mapping[str, Any]) -> dict[str, Any]:
    """What is locked of a spec as somebody wrote it: without the first split, and the source."""
    kept = {key: value for key, value in written.items() if key not in NOT_LOCKED}
    if isinstance(variants := kept.get("variants"), list):
        kept["variants"] = [{k: v for k, v in each.items() if k != "split"} for each in variants]
    return kept


def _differs(each: "Field[Any]", owner: Any, locked: Mapping[str, Any]) -> bool:
    """Whether a field is not as it was locked.

    A plan of before lacks what was not there yet. Such a field is the same as long as it is left
    out: then the plan's own meaning holds.
    """
    value = getattr(owner, each.name)
    if each.name in locked:
        return _unlike(value, locked[each.name])
    if each.default_factory is not MISSING:
        return bool(value != each.default_factory())
    return bool(value != each.default)


def _unlike(value: Any, locked: Any) -> bool:
    if is_dataclass(value) and isinstance(locked, Mapping):
        return any(_differs(each, value, locked) for each in fields(value))
    if isinstance(value, tuple) and isinstance(locked, list):
        pairs = zip(value, locked, strict=False)
        return len(value) != len(locked) or any(_unlike(*pair) for pair in pairs)
    return bool(value != locked)


def ledger_ref(experiment: Experiment) -> Ref:
    """The address of the ledger's ConfigMap."""
    return Ref("v1", "ConfigMap", experiment.namespace, f"{LEDGER_PREFIX}{experiment.name}")


def _ms(seconds: float) -> float:
    """Whole milliseconds, so that an entry stays the same when it is written and read."""
    return round(seconds, 3)
