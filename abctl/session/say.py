"""What people say to a ramp: approved, paused, resumed, aborted; who, why and when is on record.

Nothing is shifted by it: whoever runs the ramp reads it at the next turn.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from abctl.core.ledger import Entry, Ledger, Word
from abctl.core.next_action import Said, open_gate
from abctl.core.ramp import Ramp
from abctl.errors import AbctlError, ConflictError, UsageError
from abctl.forms.plan import as_locked
from abctl.session import ledger
from abctl.session.session import Session

_ATTEMPTS = 5


@dataclass(frozen=True)
class Told:
    """What was said.

    Attributes:
        word: what.
        gate: that was approved; None of other words.
        changed: False where it held already.
    """

    word: Word
    gate: str | None
    changed: bool


def say(
    session: Session, word: Word, *, why: str, gate: str | None = None, dry_run: bool = False
) -> Told:
    """Enter in the ledger what somebody says to the ramp.

    Args:
        session: the experiment in its world.
        word: what is said.
        why: for the ledger.
        gate: which one is approved; that which comes next if None.
        dry_run: only say what it would be.

    Raises:
        UsageError: it has no ramp, no such gate, or no gate that waits.
        NotFoundError: the experiment was not started.
        ConflictError: others write the ledger all the time.
    """
    for left in reversed(range(_ATTEMPTS)):
        book = ledger.read(session.world, session.experiment)
        ramp = ramp_of(session, book.ledger)
        parts = (_gate(ramp, book.ledger, gate),) if word == "approved" else ()
        named = parts[0] if parts else None
        if _holds(book.ledger, word, parts):
            return Told(word, named, changed=False)
        if dry_run:
            return Told(word, named, changed=True)
        entry = session.entry(book.ledger.desired, book.ledger.wanted, why, word, parts=parts)
        try:
            ledger.append(session.world, session.experiment, book, entry)
        except ConflictError:  # somebody else was faster, and may have said it
            if not left:
                raise
        else:
            _announce(session, entry)
            return Told(word, named, changed=True)
    raise AssertionError  # the last round returns or raises


def ramp_of(session: Session, known: Ledger) -> Ramp:
    """The ramp that was locked.

    Raises:
        UsageError: there is none.
    """
    if (ramp := as_locked(known, session.experiment).ramp) is None:
        raise UsageError(
            f"{session.experiment.name} has no ramp",
            "spec.ramp in its file says how the split grows; without it: abctl shift",
        )
    return ramp


def _gate(ramp: Ramp, known: Ledger, gate: str | None) -> str:
    if gate is None and (gate := open_gate(ramp, known)) is None:
        raise UsageError("no gate waits for approval", "spec.ramp.gate says where one does")
    if gate not in ramp.gates:
        named = ", ".join(ramp.gates) or "none"
        raise UsageError(f"no gate {gate!r}", f"gates of its ramp: {named}")
    return gate


def _holds(known: Ledger, word: Word, parts: Sequence[str]) -> bool:
    said = Said.of(known)
    if word == "approved":
        return said.approved.issuperset(parts)
    if word == "resumed":
        return said.paused is None and said.aborted is None
    return (said.paused if word == "paused" else said.aborted) is not None


def _announce(session: Session, entry: Entry) -> None:
    """An Event tells it; it holds without one."""
    with suppress(AbctlError):
        session.audit.announce(session.world.get(session.target), entry)
