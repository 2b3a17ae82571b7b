"""Drive a ramp: look, ask what follows, do just that, and again.

All that it knows is in the world: the plan, the ledger, the object that carries the split. So it
may be killed at any moment, and whoever runs it next goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from abctl.core.analysis import Analysis
from abctl.core.ledger import Ledger
from abctl.core.next_action import Action, next_action
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.errors import (
    AbctlError,
    ClusterError,
    ConflictError,
    NotFoundError,
    SourceError,
)
from abctl.forms.plan import as_locked
from abctl.session import rollback, shift
from abctl.session.analyze import analyze, present_ledger
from abctl.session.say import ramp_of
from abctl.session.session import Session

_LONGEST_WHY = 300


@dataclass(frozen=True)
class Turn:
    """What one look found, and what was done about it.

    Attributes:
        experiment: its name.
        at: when (unix seconds).
        split: that was in effect.
        action: what follows.
        analysis: of the evidence; None where there is none.
        failure: why the action could not be carried out; the next turn tries again.
        blind: why there is no evidence.
    """

    experiment: str
    at: float
    split: Split
    action: Action
    analysis: Analysis | None = None
    failure: AbctlError | None = None
    blind: AbctlError | None = None

    @property
    def verdict(self) -> str:
        """What the evidence says; at the end, what became of it."""
        if self.action.done:
            promoted = any(reason.code == "rampPromoted" for reason in self.action.reasons)
            return "ship" if promoted else "stop"
        return "invalid" if self.analysis is None else self.analysis.verdict.kind


def run(session: Session, every_seconds: float, *, once: bool = False) -> Iterator[Turn]:
    """Turn after turn until there is nothing to do any more.

    Args:
        session: the experiment in its world.
        every_seconds: how long to wait between two turns.
        once: only one of them.

    Raises:
        UsageError: it has no ramp.
        NotFoundError: the experiment was not started.
        ClusterError: at the first turn, its world cannot be read; later that passes.
    """
    found = turn(session)
    yield found
    while not (once or found.action.done):
        ended = found.action.kind in ("promote", "rollback") and found.failure is None
        if not ended:  # else all that is left is to say so
            session.sleep(every_seconds)
        try:
            found = turn(session)
        except NotFoundError:
            raise
        except ClusterError as error:
            blind = Action("hold", (Reason("rampBlind", {"detail": error.message}),))
            found = Turn(found.experiment, session.clock(), found.split, blind)
        yield found


def turn(session: Session, *, dry_run: bool = False) -> Turn:
    """Look once, and do what follows.

    Args:
        session: the experiment in its world.
        dry_run: only say what it is.

    Raises:
        UsageError: it has no ramp.
        ClusterError: the ledger cannot be read.
    """
    known = present_ledger(session)
    ramp_of(session, known)
    return _turn(session, known, dry_run=dry_run)


def look(session: Session) -> Turn:
    """The same of any experiment: without a ramp people shift, and it only says what is found.

    Raises:
        ClusterError: as for `turn`.
    """
    known = present_ledger(session)
    return _turn(session, known, dry_run=as_locked(known, session.experiment).ramp is None)


def _turn(session: Session, known: Ledger, *, dry_run: bool) -> Turn:
    experiment = as_locked(known, session.experiment)
    found, blind = _evidence(session)
    now, split = session.clock(), known.present or known.wanted
    if experiment.ramp is None:
        action = _without_ramp(found)
    else:
        action = next_action(experiment, known, found, now)
    failure = None
    try:
        if not dry_run:
            _carry_out(session, action, split)
    except ClusterError as error:
        failure = error
    analysis = None if isinstance(found, Reason) else found
    return Turn(experiment.name, now, split, action, analysis, failure, blind)


def _without_ramp(found: Analysis | Reason) -> Action:
    if isinstance(found, Reason):
        return Action("hold", (Reason("rampBlind", {"detail": found.text}),))
    return Action("hold", found.verdict.reasons)


def _evidence(session: Session) -> tuple[Analysis | Reason, AbctlError | None]:
    """What is known, or why nothing is."""
    try:
        return analyze(session), None
    except SourceError as error:
        facts = {"error": type(error).__name__, "detail": error.message}
        return Reason("failed", facts), error


def _carry_out(session: Session, action: Action, seen: Split) -> None:
    """Do it, unless somebody else has changed the split meanwhile."""
    why = f"ramp: {'; '.join(reason.text for reason in action.reasons)}"[:_LONGEST_WHY]
    if action.kind == "rollback":
        rollback.rollback(session, why=why)
    elif action.split is not None:
        planned = shift.plan(session, action.split)
        if planned.state.ledger.intent is None and planned.before != seen:
            raise ConflictError(
                f"somebody else has shifted to {planned.before} meanwhile", "see `abctl log`"
            )
        shift.shift(session, action.split, why=why, planned=planned)
