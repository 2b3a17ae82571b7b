"""The ledger: which split was in effect when, who changed it and why.

It lives in the world that is changed, in the ConfigMap `abctl-<experiment>`, together with the
plan that was locked when the experiment started. Entries are only ever appended:

    intent     somebody is about to change the split; from here on it is not known which one holds
    applied    the platform has taken it
    reverted   the intent was given up and the old split is in effect again
    observed   the platform has another split that abctl did not set
    amended    the locked plan was changed; the split stays

What people say to a ramp is there as well, and changes no split by itself: a gate may be passed
(approved; `parts` names it), no share is to grow (paused, resumed), the ramp is over (aborted).
Nor does a doubt that somebody accepts (accepted; `parts` has the codes of `abctl.core.doubts`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import zip_longest
from math import inf
from typing import Any, Literal, get_args

from abctl.core.change import Ref
from abctl.core.experiment import Experiment
from abctl.core.locked import NOT_LOCKED, differs, meant, written_alike
from abctl.core.split import Split

Word = Literal["approved", "paused", "resumed", "aborted"]
Phase = Literal["intent", "applied", "reverted", "observed", "amended", "accepted"] | Word
WORDS: frozenset[str] = frozenset(get_args(Word))
SAID = WORDS | {"accepted"}  # what changes neither split nor plan

LEDGER_PREFIX = "abctl-"
# What the meaning of a metric follows from.
_MEANT_BY = frozenset(("assignment", "design", "metrics", "platform", "variants"))
# So far apart are clocks that are kept in time.
_SKEW_SECONDS = 5.0


@dataclass(frozen=True)
class Entry:
    """One line of the ledger: at `at` (unix seconds) the split went `before` -> `after`.

    >>> half = Split(("control", "treatment"), (5000, 5000))
    >>> Entry(0.0, "ann", before=None, after=half, why="start", phase="applied").after.short
    '50/50'

    Attributes:
        at: when it was written.
        actor: who did it, by their own word.
        before, after: the splits.
        why: by their own word.
        phase: see above.
        version: of the platform's object when this was written: its generation, or its
            resourceVersion.
        since: when what it says began, where that was earlier; of a `reverted`, since when the old
            split has held.
        exact: of an `observed`: whether the object was changed just once, at `since`.
        user: whom the API server took the actor for.
        parts: of the plan that were amended; the gate that was approved; codes that were accepted.
    """

    at: float
    actor: str
    before: Split | None
    after: Split
    why: str
    phase: Phase
    version: str = ""
    since: float | None = None
    exact: bool = False
    user: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What the platform's object asked for when it was looked at, after the last entry.

    >>> Seen(Split(("control", "treatment"), (5000, 5000)), since=60.0).split.short
    '50/50'

    Attributes:
        split: that it asked for.
        since: from when on it is known to be in effect (unix seconds); None where nobody knows.
        exact: whether it was changed just once since the last entry, and just then.
    """

    split: Split
    since: float | None
    exact: bool = False


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

    Attributes:
        plan: that was locked.
        entries: everything that happened since.
        seen: what the platform's object asked for, where the last entry does not say it: an intent
            is open, or somebody else has changed it. It is never written into the ledger.
    """

    plan: str
    entries: tuple[Entry, ...] = ()
    seen: Seen | None = None

    @property
    def intent(self) -> Entry | None:
        """The last entry, if it is an intent that nobody has finished or reverted."""
        last = self.moves[-1] if self.entries else None
        return last if last and last.phase == "intent" else None

    @property
    def desired(self) -> Split | None:
        """The split of the last entry that is in effect; None before the first."""
        done = [entry.after for entry in self.moves if entry.phase != "intent"]
        return done[-1] if done else None

    @property
    def present(self) -> Split | None:
        """The split that is known to be in effect now: `desired`, unless another was seen."""
        last = self._known[-1] if self.entries else None
        return last.after if last and last.phase != "intent" else self.desired

    @property
    def wanted(self) -> Split:
        """Where the last entry leads; the first entry is written with the ledger itself."""
        return self.moves[-1].after

    @property
    def expected(self) -> tuple[Split | None, ...]:
        """What the platform's object may ask for, if nobody changed it behind abctl's back."""
        if self.intent:
            return (self.intent.before, self.intent.after)
        return (self.desired,)

    def with_entry(self, entry: Entry) -> "Ledger":
        """The ledger with one more entry.

        Clocks of different machines differ by a little: that makes no entry earlier than the one
        before it. A clock that was far ahead makes that one wrong, and this one tells so.
        """
        last = self.entries[-1].at if self.entries else -inf
        since, at = None if entry.since is None else _ms(entry.since), _ms(entry.at)
        written = replace(entry, at=at if last - at > _SKEW_SECONDS else max(last, at), since=since)
        return replace(self, entries=(*self.entries, written), seen=None)

    def epochs(self, end: float, settle_seconds: float) -> tuple[Epoch, ...]:
        """Every period of one constant split up to `end`, without what follows a change.

        Left out are the time between an intent and its outcome, `settle_seconds` after each
        change, and everything before the plan was last amended. An intent that never reached the
        platform's object changes nothing. A period of which nothing is left is no epoch.
        """
        found: list[Epoch] = []
        known, floor = self._known, self.amended_at
        for entry, following in zip_longest(known, known[1:]):
            if entry.phase != "intent":
                until = following.at if following else end
                certain = following is None or following.phase != "observed" or following.exact
                start = max(entry.at + settle_seconds, floor)
                found.append(Epoch(start, min(until, end), entry.after, certain))
        return tuple(epoch for epoch in found if epoch.start < epoch.end)

    def counts_from(self, settle_seconds: float) -> float | None:
        """From when on requests count for the present split (unix seconds).

        None while it is not known that a change of it is finished.
        """
        last = self._known[-1] if self.entries else None
        if last is None or last.phase == "intent":
            return None
        return max(last.at + settle_seconds, self.amended_at)

    @property
    def changing_since(self) -> float:
        """When the last change of the split began (unix seconds)."""
        *_, last = entries = self._known[-2:]
        return entries[0].at if entries[0].phase == "intent" else last.at

    @property
    def began(self) -> float | None:
        """When the first split was in effect (unix seconds); None before that."""
        return self._dated[0].at if self.entries else None

    @property
    def amended_at(self) -> float:
        """When the plan was last amended (unix seconds); minus infinity where it never was."""
        return max((e.at for e in self._dated if e.phase == "amended"), default=-inf)

    @property
    def amendments(self) -> tuple[Entry, ...]:
        """The changes of the plan."""
        return tuple(entry for entry in self.entries if entry.phase == "amended")

    @property
    def words(self) -> tuple[Entry, ...]:
        """What people said to the ramp, the oldest first."""
        return tuple(entry for entry in self.entries if entry.phase in WORDS)

    @cached_property
    def moves(self) -> tuple[Entry, ...]:
        """The entries without what people only said; the first one is always among them."""
        return tuple(entry for entry in self.entries if entry.phase not in SAID)

    @cached_property
    def _dated(self) -> tuple[Entry, ...]:
        """The entries, none later than one that follows it.

        Of what was written by a clock that was ahead, nobody knows when it was, as of what was
        done behind abctl's back; but it was before what followed.
        """
        found, latest = [], inf
        for entry in reversed(self.moves):
            latest = min(latest, entry.at)
            ahead = replace(entry, at=latest, since=None, exact=False)
            if entry.phase != "amended":
                ahead = replace(ahead, phase="observed")
            found.append(entry if entry.at == latest else ahead)
        return tuple(reversed(found))

    @cached_property
    def _known(self) -> tuple[Entry, ...]:
        """The entries that changed the split, at the times from which on it is known.

        An intent that was given up before it reached the object is not among them; what was seen
        of the object stands for the outcome that is not written yet.
        """
        found: list[Entry] = []
        for entry in (*self._dated, *self._unwritten()):
            if entry.phase == "amended":
                continue
            if _untouched(found, entry):
                found.pop()
                continue
            since = entry.at if entry.since is None else min(entry.at, entry.since)
            at = max(since, found[-1].at) if found else since
            found.append(entry if at == entry.at else replace(entry, at=at))
        return tuple(found)

    def _unwritten(self) -> Iterator[Entry]:
        seen, last = self.seen, self.moves[-1] if self.entries else None
        if last is None or seen is None or seen.since is None:
            return
        split, at = seen.split, max(last.at, seen.since)
        phase: Phase = "observed"
        if last.phase == "intent" and split in (last.before, last.after):
            phase = "applied" if split == last.after else "reverted"
        yield Entry(at, "", last.before, split, "", phase, since=seen.since, exact=seen.exact)

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
        found = bool(self.entries) and self.entries[0].phase == "observed"
        return found and not self.locked.get("metrics")

    def meaning_of(self, experiment: Experiment) -> Mapping[str, Mapping[str, str]]:
        """What was locked of how each metric is judged, by metric (see `abctl.analysis.meaning`).

        A plan of before says nothing of a metric: then it means what it did to the first abctl.
        Nothing is there of an experiment that is not the one that was locked.
        """
        if self.without_plan or _MEANT_BY.intersection(self.changed_since(experiment)):
            return {}
        locked = self._document.get("meaning", {})
        return {metric.name: locked.get(metric.name, {}) for metric in experiment.metrics}

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
            and not (then and now and written_alike(each.name, then, now))
            and differs(each, meant(self._document, experiment), locked)
        )
        return tuple(sorted(changed))


def _untouched(before: Sequence[Entry], entry: Entry) -> bool:
    """Whether an entry gives up an intent that never reached the platform's object."""
    if entry.phase != "reverted" or entry.since is None or len(before) < 2:  # noqa: PLR2004 - pair
        return False
    held, intent = before[-2:]
    holds = held.phase != "intent" and held.after == entry.after
    return holds and intent.phase == "intent" and entry.since <= intent.at


def ledger_ref(experiment: Experiment) -> Ref:
    """The address of the ledger's ConfigMap."""
    return Ref("v1", "ConfigMap", experiment.namespace, f"{LEDGER_PREFIX}{experiment.name}")


def other_ref(experiment: Experiment, target: Ref) -> Ref:
    """Where the ledger is if the usual address is that of another object of the same name."""
    ref = ledger_ref(experiment)
    return replace(ref, name=f"{LEDGER_PREFIX}{target.kind.lower()}.{target.name}")


def _ms(seconds: float) -> float:
    """Whole milliseconds, so that an entry stays the same when it is written and read."""
    return round(seconds, 3)
