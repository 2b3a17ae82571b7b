"""Everything to one variant: back to the control, or on to a treatment.

The way back is always open: a rollback goes through whenever the object that carries the split can
be patched, whatever is wrong with the ledger, and with the weights that somebody has written by
hand. What could not be recorded is told, and the next command that can write the ledger enters it.
Which variant is the control is what the experiment, the object or the ledger says, and never a
guess.
"""

from functools import partial

from abctl.core.change import EXPERIMENT, Change, Ref
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ClusterError, NotReadyError, UsageError
from abctl.platforms import written
from abctl.session import lacking, shift
from abctl.session.owners import owners
from abctl.session.readiness import Partly
from abctl.session.scribe import Scribe
from abctl.session.session import Session, State
from abctl.session.shift import Plan, ShiftResult


def everything_to(asked: Split, name: str) -> Split:
    """The same variants, with everything to one of them.

    >>> half = Split(("control", "treatment"), (5000, 5000))
    >>> everything_to(half, "treatment").short
    '0/100'

    Raises:
        UsageError: there is no such variant.
    """
    if name not in asked.names:
        raise UsageError(f"no variant {name!r}", f"variants: {', '.join(asked.names)}")
    return asked.with_shares(dict.fromkeys(asked.names, 0) | {name: TOTAL_BP})


def control_of(session: Session, state: State) -> str | None:
    """The control, as the experiment, the object or the ledger says it; None where nobody does.

    Args:
        session: the experiment in its world.
        state: what was seen of it.
    """
    names, carrier, ledger = state.asked.names, state.carrier, state.ledger
    if not session.adopted and session.experiment.control.name in names:
        return session.experiment.control.name
    if said := session.platform.CAPABILITIES.control:
        return said(carrier)
    if EXPERIMENT in (carrier["metadata"].get("labels") or {}):
        return names[0]  # abctl made it
    if state.unrecorded or ledger.without_plan:
        return None
    if known := ledger.locked.get("variants"):
        name: str = known[0]["name"]
        return name if name in names else None
    return None


def plan_promotion(session: Session, variant: str | None) -> Plan:
    """What sending everything to a treatment would do; to the only one if none is named.

    Args:
        session: the experiment in its world.
        variant: which treatment.

    Raises:
        UsageError: the control is named, or there are several treatments and none is.
        NotFoundError: the experiment was not started.
    """
    state = session.observe()
    control = control_of(session, state)
    chosen = _treatment(state.asked, control) if variant is None else variant
    if chosen == control:
        raise UsageError(
            f"{chosen!r} is the control, not a treatment", "abctl rollback sends everything there"
        )
    return shift.plan(session, partial(everything_to, name=chosen))


def plan_rollback(session: Session, to: str | None = None) -> Plan:
    """What `rollback` would do, from a fresh look at the world.

    Args:
        session: the experiment in its world.
        to: the variant that gets everything; the control if None.

    Raises:
        UsageError: nobody says which variant is the control.
        ClusterError: the object that carries the split cannot be read, or does not say between
            which variants.
    """
    try:
        state = session.observe()
    except ClusterError:
        state = lacking.look(session)
    control = control_of(session, state) if to is None else to
    if control is None:
        each = " or ".join(f"--to {name}" for name in state.asked.names)
        raise UsageError(
            f"nobody says which variant of {Ref.of(state.carrier)} is the control: "
            f"{state.unsplit or f'it asks for {state.asked}'}",
            f"name the one that gets everything: {each}",
        )
    split = everything_to(state.asked, control)
    change = Change(state.carrier, written(session.platform, state.carrier, split))
    return Plan(state, split, change, owners(session, change))


def rollback(
    session: Session,
    to: str | None = None,
    *,
    why: str,
    planned: Plan | None = None,
    force: bool = False,
) -> ShiftResult:
    """Send everything back to the control, also where the ledger cannot be written.

    Args:
        session: the experiment in its world.
        to: the variant that gets everything; the control if None.
        why: for the ledger.
        planned: the plan for this, if it was made a moment ago.
        force: also to a control of which no pod is ready.

    Raises:
        UsageError: nobody says which variant is the control.
        ClusterError: the object that carries the split cannot be patched.
        NotReadyError: no pod of the control is ready; or it was not in effect in time.
    """
    planned = planned or plan_rollback(session, to)
    control = next(name for name in planned.after.names if planned.after[name])
    if planned.before is None or planned.before[control] < TOTAL_BP:
        _require_any(session, control, force=force)
    scribe = Scribe(
        session.world,
        session.experiment,
        planned.state.book,
        lenient=True,
        lacking=planned.state.unrecorded,
    )
    return shift.carry_out(session, planned, scribe, why=why)


def _require_any(session: Session, control: str, *, force: bool) -> None:
    try:
        answer = session.ready(control)
    except ClusterError as error:  # it may not be read; the way back does not depend on it
        answer = Partly(error.message)
    if answer is True:
        return
    why = f"{control} is not ready{f': {answer}' if answer else ''}"
    if not force and not isinstance(answer, Partly):
        raise NotReadyError(why, "nothing was changed; --force sends everything there all the same")
    session.report(f"warning: {why}; it gets everything all the same")


def _treatment(asked: Split, control: str | None) -> str:
    others = [name for name in asked.names if name != control]
    if control is None or len(others) != 1:
        listed = ", ".join(others) or "none"
        raise UsageError(f"which treatment? {listed}", "abctl promote EXPERIMENT VARIANT")
    return others[0]
