"""What a ramp does next: one pure function; whoever runs it only does what it says.

In this order, so that nothing that hinders the way up hinders the way back:

1. It is over: everything goes to one variant. Or somebody said so: back to the control.
2. Harm is proven, a treatment gives no good answer, or time is over: back, or a person decides.
   Where that is of some treatments, these are out, and the others go on.
3. A shift that was begun is finished.
4. Evidence that cannot be trusted, or none: the split stays.
5. A treatment may ship: everything goes to it, or a person decides.
6. Each share follows its bounds (see `abctl.core.ramp`): down at once, up by what the ramp allows.

Polls that go on are no part of an analysis, so no share depends on the poll in which it is changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from abctl.core import _next_share
from abctl.core.analysis import Analysis, Verdict
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Ledger
from abctl.core.ramp import PROMOTE, Ramp
from abctl.core.reasons import Reason
from abctl.core.split import TOTAL_BP, Split
from abctl.core.time import format_moment

ActionKind = Literal["hold", "shift", "promote", "rollback", "finish"]


@dataclass(frozen=True)
class Action:
    """What to do next, and why.

    >>> Action("hold", (Reason("rampAtLast"),)).done
    False

    Attributes:
        kind: hold leaves the split; finish too, and for good.
        reasons: why.
        split: what it leads to; None where the split stays.
        until: when a share may grow at the earliest (unix seconds); None where nobody knows.
    """

    kind: ActionKind
    reasons: tuple[Reason, ...]
    split: Split | None = None
    until: float | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing to do any more."""
        return self.kind == "finish"


@dataclass(frozen=True)
class Said:
    """What people said to a ramp, as its ledger has it.

    >>> half = Split(("control", "treatment"), (5000, 5000))
    >>> pause = Entry(60.0, "ann", half, half, "a holiday", "paused")
    >>> Said.of(Ledger("{}", (pause,))).paused is pause
    True

    Attributes:
        paused: the pause that holds; None where none does.
        aborted: the end that somebody made; None where nobody did.
        approved: gates that may be passed.
    """

    paused: Entry | None = None
    aborted: Entry | None = None
    approved: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ledger: Ledger) -> "Said":
        """What still holds: a resumption ends a pause, and takes an end back."""
        others = [entry for entry in ledger.words if entry.phase != "approved"]
        last = others[-1] if others else None
        return cls(
            paused=last if last and last.phase == "paused" else None,
            aborted=last if last and last.phase == "aborted" else None,
            approved=frozenset(p for e in ledger.words if e.phase == "approved" for p in e.parts),
        )


def next_action(
    experiment: Experiment, ledger: Ledger, analysis: Analysis | Reason, now: float
) -> Action:
    """What to do next.

    Args:
        experiment: as it was locked, with its ramp.
        ledger: what happened to its split, and what people said.
        analysis: of all polls that are over; or why there is none.
        now: unix seconds, by the clock of the ledger.

    Raises:
        ValueError: the experiment has no ramp.
    """
    if (ramp := experiment.ramp) is None:
        raise ValueError("no ramp")
    split, said = ledger.present or ledger.wanted, Said.of(ledger)
    # An open shift may have reached the platform: what it leads to counts.
    leads_to = ledger.wanted if ledger.intent else split
    decided = _whatever_evidence(ledger, split, said) or _after_harm(ramp, leads_to, analysis)
    if decided := decided or _unfinished(ledger):
        return decided
    if isinstance(analysis, Reason):
        return Action("hold", (Reason("rampBlind", {"detail": analysis.text}),))
    if analysis.verdict.kind == "invalid":
        return Action("hold", (Reason("rampInvalid"), *analysis.verdict.reasons))
    if analysis.verdict.kind == "stop":  # of who has no share
        return Action("hold", analysis.verdict.reasons)
    asked = _next_share.Asked(ramp, analysis, split, now, _out(ledger, split), said.approved)
    return _down(asked) or _up(asked, said)


def _whatever_evidence(ledger: Ledger, split: Split, said: Said) -> Action | None:
    """What follows whatever the evidence says."""
    if over := _over(ledger, split):
        return Action("finish", (over,))
    if said.aborted and not any(split.shares_bp[1:]) and ledger.intent is None:
        return Action("finish", (Reason("rampAborted", _by(said.aborted)),))
    if said.aborted:
        return _back(split, (Reason("rampAborted", _by(said.aborted)),))
    return None


def _unfinished(ledger: Ledger) -> Action | None:
    if (intent := ledger.intent) is None:
        return None
    facts = {"actor": intent.actor, "split": intent.after.ratios}
    return Action("shift", (Reason("rampUnfinished", facts),), intent.after)


def _down(asked: _next_share.Asked) -> Action | None:
    """What bounds ask for at once, whether or not somebody has paused it."""
    if spent := _next_share.overspent(asked):
        return _back(asked.split, (spent,))
    found = _next_share.lower(asked)
    return None if found.split == asked.split else Action("shift", found.reasons, found.split)


def _up(asked: _next_share.Asked, said: Said) -> Action:
    """What may grow, unless somebody has paused it."""
    if asked.analysis.verdict.kind == "ship":
        return _shipping(asked.ramp, asked.split, asked.analysis.verdict, said)
    if said.paused:
        return Action("hold", (Reason("rampPaused", _by(said.paused)),))
    found = _next_share.higher(asked)
    if found.split == asked.split:
        return Action("hold", found.reasons, until=found.until)
    return Action("shift", found.reasons, found.split)


def open_gate(ramp: Ramp, ledger: Ledger) -> str | None:
    """The gate that comes next, and that nobody has approved.

    Args:
        ramp: of the experiment.
        ledger: what happened so far.
    """
    split = ledger.present or ledger.wanted
    largest, approved = max(split.shares_bp[1:]), Said.of(ledger).approved
    if gate := ramp.gate_between(largest, ramp.last_bp, approved):
        return gate
    return PROMOTE if PROMOTE in ramp.gates and PROMOTE not in approved else None


def _over(ledger: Ledger, split: Split) -> Reason | None:
    """That everything goes to one variant, and that is not how it began."""
    shares = dict(zip(split.names[1:], split.shares_bp[1:], strict=True))
    if ledger.intent is not None:
        return None
    for name, share in shares.items():
        if share == TOTAL_BP:
            return Reason("rampPromoted", {"treatment": name})
    return Reason("rampOver") if len(_out(ledger, split)) == len(shares) else None


def _out(ledger: Ledger, split: Split) -> frozenset[str]:
    """Treatments that had a share and have none: they are out."""
    had = {n for e in ledger.moves for n in e.after.names[1:] if e.after[n] and e.phase != "intent"}
    return frozenset(name for name in split.names[1:] if not split[name] and name in had)


def _stopped(verdict: Verdict, split: Split) -> Mapping[str, tuple[Reason, ...]]:
    """Why each treatment with a share is to be stopped.

    A verdict of the whole experiment names none: then all are.
    """
    each = verdict.treatments or tuple(
        Verdict(verdict.kind, name, verdict.reasons) for name in split.names[1:]
    )
    return {
        v.treatment: v.reasons or verdict.reasons
        for v in each
        if v.kind == "stop" and v.treatment is not None and split.get(v.treatment)
    }


def _after_harm(ramp: Ramp, split: Split, analysis: Analysis | Reason) -> Action | None:
    stopped = {} if isinstance(analysis, Reason) else _stopped(analysis.verdict, split)
    if not stopped:
        return None
    reasons = tuple(dict.fromkeys(reason for each in stopped.values() for reason in each))
    if ramp.on_harm == "pause":
        above = {name: ramp.floor_bp for name in stopped if split[name] > ramp.floor_bp}
        waits = (*reasons, Reason("rampHarm"))
        return Action("shift", waits, split.with_shares(above)) if above else Action("hold", waits)
    rest = split.with_shares(dict.fromkeys(stopped, 0))
    if any(rest.shares_bp[1:]):
        return Action("shift", reasons, rest)
    return _back(split, reasons)


def _shipping(ramp: Ramp, split: Split, verdict: Verdict, said: Said) -> Action:
    treatment = verdict.treatment or split.names[1]
    if ramp.on_ship == "pause":
        return Action("hold", (*verdict.reasons, Reason("rampShips", {"treatment": treatment})))
    if said.paused:
        return Action("hold", (Reason("rampPaused", _by(said.paused)),))
    if PROMOTE in ramp.gates and PROMOTE not in said.approved:
        return Action("hold", (Reason("rampGate", {"gate": PROMOTE}),))
    everything = dict.fromkeys(split.names, 0) | {treatment: TOTAL_BP}
    return Action("promote", verdict.reasons, split.with_shares(everything))


def _back(split: Split, reasons: tuple[Reason, ...]) -> Action:
    nothing = dict.fromkeys(split.names[1:], 0)
    return Action("rollback", reasons, split.with_shares(nothing))


def _by(entry: Entry) -> dict[str, str]:
    return {"actor": entry.actor, "at": format_moment(entry.at, "seconds"), "why": entry.why}
