"""Since when the object that carries the split is as it is, and what to enter of it.

Kubernetes notes of each field when it was written (metadata.managedFields). So an intent that
nobody has finished hides no evidence, and a change behind abctl's back has a time and a name.
"""

from dataclasses import replace

from abctl.core.change import Change, Object
from abctl.core.ledger import Entry, Ledger, Seen
from abctl.core.split import Split
from abctl.errors import AbctlError, ClusterError, ConflictError
from abctl.platforms import written
from abctl.session.owners import writer_of
from abctl.session.session import Session, State

# So often within so long, and it is not shifted again.
_RESETS, _PEACE_SECONDS = 3, 3600.0


def version_of(obj: Object) -> str:
    """Another one after every change of an object that is not of its status.

    >>> version_of({"metadata": {"generation": 3, "resourceVersion": "120"}})
    '3'
    """
    meta = obj["metadata"]
    return str(meta.get("generation") or meta.get("resourceVersion") or "")


def as_seen(session: Session, state: State) -> Ledger:
    """The ledger, with what the object says where the last entry does not say it.

    Args:
        session: the experiment in its world.
        state: what was seen of it.
    """
    ledger, carrier = state.ledger, state.carrier
    intent = ledger.intent
    if intent is None and not state.drifted:
        return ledger
    version, last = version_of(carrier), ledger.moves[-1]
    untouched = bool(last.version) and version == last.version
    if intent and untouched and state.asked == intent.before:
        return replace(ledger, seen=Seen(state.asked, intent.at, exact=True))
    once = "generation" in carrier["metadata"] and last.version.isdecimal()
    exact = once and int(version) == int(last.version) + 1
    return replace(ledger, seen=Seen(state.asked, _since(session, state), exact))


def _since(session: Session, state: State) -> float | None:
    """From when on the split that the object asks for is known to be in effect."""
    programmed = state.programmed
    if programmed != state.asked and (programmed is not None or state.refusal):
        return None
    try:
        managers = session.world.managers(session.target)
    except ClusterError:
        return None
    # That the platform has it, it cannot have said before it last wrote the status.
    times = [m.at for m in managers if m.at and (not m.status or programmed is not None)]
    inquiry, settle = (
        session.platform.CAPABILITIES.inquiry,
        session.experiment.design.settle_seconds,
    )
    late = 0.0 if inquiry is None else max(0.0, inquiry.within_seconds - settle)
    # Processes of this machine read a file at once.
    return max(times) + (0.0 if session.state_dir else late) if times else None


def require_peace(session: Session, ledger: Ledger, before: Split) -> None:
    """Never fight: whoever always puts the split back will do it again.

    Raises:
        ConflictError: it was put back several times within an hour.
    """
    since = session.clock() - _PEACE_SECONDS
    observed = (e for e in ledger.entries if e.phase == "observed" and e.at >= since)
    # What was found at first is nobody's answer to a shift.
    resets = [entry for entry in observed if entry.before and entry.after == before]
    if (times := len(resets)) >= _RESETS:
        who = resets[-1].actor
        raise ConflictError(
            f"{session.target} was put back to {before} {times} times within an hour, last by "
            f"{who}; it is not shifted again",
            "find out who owns it (abctl doctor names them) and agree; --force shifts all the same",
        )


def found(session: Session, state: State) -> Entry:
    """What the ledger is to say of a split that somebody else has set.

    Of weights that are no split: that nobody knows until when the one before held.
    """
    ledger = state.ledger
    if state.unsplit:
        asked, seen = ledger.desired or ledger.wanted, None
    else:
        asked, seen = state.asked, as_seen(session, state).seen
    entry = session.entry(
        ledger.desired,
        asked,
        "",
        "observed",
        version=version_of(state.carrier),
        since=seen.since if seen else None,
        exact=bool(seen and seen.since is not None and seen.exact),
        user="",  # of whoever did it nobody knows more than the field manager
    )
    try:
        others = (s for s in (ledger.wanted, ledger.desired) if s and s != asked)
        other = asked if state.unsplit else next(others)
        changed = written(session.platform, state.carrier, other)
        writer = writer_of(session, Change(state.carrier, changed))
    except (AbctlError, StopIteration):  # of other variants
        writer = ""
    why = ": ".join(filter(None, (f"noticed by {entry.actor}", state.unsplit)))
    return replace(entry, actor=writer or "unknown", why=why)
