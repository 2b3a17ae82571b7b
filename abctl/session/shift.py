"""Change the split: trial, intent, patch, read back, wait until it is in effect, applied.

What the world would refuse is known before anything is written; what it refuses after all is given
up in the ledger. Killed anywhere, the next command sees the open intent: the same shift finishes
it, a shift to where it came from reverts it, any other takes its place. Of two at once, the one
whose intent was written last wins; the other ends with a ConflictError.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

from abctl.core.assignment import regions, variant_at
from abctl.core.change import Change, Object
from abctl.core.ledger import Entry, Phase
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import (
    AbctlError,
    ClusterError,
    ConflictError,
    NotFoundError,
    NotReadyError,
    UnreachableError,
)
from abctl.platforms import require_admissible, written
from abctl.session.owners import Owner, owners
from abctl.session.route import hasten
from abctl.session.scribe import Scribe
from abctl.session.session import Session, State
from abctl.session.sight import as_seen, found, require_peace, version_of
from abctl.session.wait import wait_until_in_effect

_log = logging.getLogger(__name__)
_PATCH_ATTEMPTS = 5
# After these nobody knows whether the object was changed, or whose change it is.
_IN_DOUBT = (ConflictError, NotFoundError, UnreachableError)

# Gives the wanted split for the one that is asked for now.
Choose = Callable[[Split], Split]


@dataclass(frozen=True)
class Plan:
    """What a shift would do.

    Attributes:
        state: the world as it is.
        after: the wanted split.
        change: of the platform's object; empty where it asks for that split already.
        owners: who else writes the split.
    """

    state: State
    after: Split
    change: Change
    owners: tuple[Owner, ...] = ()

    @property
    def before(self) -> Split | None:
        """The split that is asked for now; None where its weights are none."""
        return None if self.state.unsplit else self.state.asked

    @property
    def empty(self) -> bool:
        """Whether there is nothing to change, to finish or to note."""
        return self.change.empty and not self.state.drifted and self.state.ledger.intent is None

    @property
    def moves(self) -> Mapping[tuple[str, str], int]:
        """Which units move from which variant to which, in basis points of all.

        Only where a unit keeps its variant: single requests do not move.
        """
        moved: dict[tuple[str, str], int] = {}
        if (before := self.before) is None:
            return moved
        cuts = {0, TOTAL_BP}
        for split in (before, self.after):
            cuts |= {region.stop for region in regions(split)}
        for start, stop in pairwise(sorted(cuts)):
            pair = variant_at(before, start), variant_at(self.after, start)
            if pair[0] != pair[1]:
                moved[pair] = moved.get(pair, 0) + stop - start
        return moved


@dataclass(frozen=True)
class ShiftResult:
    """What a shift did.

    Attributes:
        before: the split that was asked for before; None where its weights were none.
        after: the split now.
        changed: False where it was in effect already.
        confirmed: False where the platform cannot say whether it is in effect.
        drift: a split that somebody else had set, found and entered in the ledger.
        unrecorded: why the ledger does not say it, where a rollback could not write it.
    """

    before: Split | None
    after: Split
    changed: bool
    confirmed: bool
    drift: Split | None
    unrecorded: str = ""


def plan(session: Session, wanted: Split | Choose) -> Plan:
    """What `shift` would do, from a fresh look at the world.

    Args:
        session: the experiment in its world.
        wanted: the split, or what chooses it.

    Raises:
        SpecError: the platform cannot express the split, or would refuse the object.
        NotFoundError: the experiment was not started.
    """
    state = session.observe()
    split = wanted if isinstance(wanted, Split) else wanted(state.asked)
    change = Change(state.carrier, session.platform.with_split(state.carrier, split))
    if not change.empty:
        require_admissible(session.platform, [change.after])
    _log.info("split %s wanted, %s asked for now", split, state.asked)
    return Plan(state, split, change, owners=owners(session, change))


def check(session: Session, planned: Plan) -> None:
    """Let the world check the change of its object, and change nothing.

    Raises:
        ClusterError: it would refuse it.
    """
    if not planned.change.empty:
        patch = planned.change.json_patch()
        session.world.patch(planned.change.ref, patch, dry_run=True)


def shift(
    session: Session,
    wanted: Split | Choose,
    *,
    why: str,
    planned: Plan | None = None,
    force: bool = False,
) -> ShiftResult:
    """Bring a split into effect and enter it in the ledger.

    Args:
        session: the experiment in its world.
        wanted: the split, or what chooses it.
        why: for the ledger.
        planned: the plan for this, if it was made a moment ago.
        force: also where a controller writes the split itself, or somebody always puts it back.

    Raises:
        SpecError: the platform cannot express it.
        ConflictError: somebody else shifts at the same time, or owns the split.
        ClusterError: the world refuses it; nothing was changed.
        NotReadyError: a variant that would get more is not ready; or the platform did not report
            the split in time, and the intent stays open.
    """
    planned = planned or plan(session, wanted)
    _require_ready(session, planned)
    if not force:
        _require_free(planned)
    scribe = Scribe(session.world, session.experiment, planned.state.book)
    return carry_out(session, planned, scribe, why=why, force=force)


def carry_out(
    session: Session, planned: Plan, scribe: Scribe, *, why: str, force: bool = False
) -> ShiftResult:
    """Do what was planned; see `shift`.

    Args:
        session: the experiment in its world.
        planned: what to do.
        scribe: writes the ledger.
        why: for the ledger.
        force: also where somebody always puts it back.
    """
    state, before, split = planned.state, planned.before, planned.after
    # The way back depends on no trial: some webhooks refuse every one, others hang.
    if not scribe.lenient:
        with suppress(ConflictError):  # it is seen when it is patched, and tried again
            check(session, planned)
    scribe.book = scribe.book.of_carrier(state.carrier)
    intent, drift = state.ledger.intent, before if state.drifted else None
    noticed = found(session, state) if drift is not None or before is None else None
    if noticed is not None:
        scribe.append(noticed)
        intent = None
    if not (force or scribe.lenient or planned.change.empty):
        require_peace(session, scribe.book.ledger, state.asked)
    if intent is None and planned.change.empty:
        confirmed = _in_effect(session, split, scribe)
        return ShiftResult(before, split, False, confirmed, drift, scribe.lacking)
    reverts = intent is not None and intent.before == split
    fresh = intent is None or split not in (intent.before, intent.after)
    if intent is None or fresh:
        version = version_of(state.carrier)
        origin = before or scribe.book.ledger.desired
        intent = session.entry(origin, split, why, "intent", version=version)
        if before is None and noticed:  # nothing held in between
            intent = replace(intent, at=noticed.at)
        scribe.append(intent)
    else:
        scribe.require_latest()
    # Whoever finishes what reached the object already says since when it is there.
    seen = None if fresh or not planned.change.empty else as_seen(session, state).seen
    try:
        after = _carry(session, planned, scribe)
    except ClusterError as error:
        # What was no split is none to go back to.
        if fresh and before and not isinstance(error, _IN_DOUBT):
            _give_up(session, scribe, intent, error)
        raise
    try:
        confirmed = _in_effect(session, split, scribe)
    except ConflictError:
        _enter_found(session, scribe)
        raise
    origin = intent.after if reverts else intent.before
    phase: Phase = "reverted" if reverts else "applied"
    since = seen.since if seen else None
    outcome = session.entry(origin, split, why, phase, version=version_of(after), since=since)
    scribe.finish(outcome)
    session.audit.announce(after, outcome)
    return ShiftResult(before, split, True, confirmed, drift, scribe.lacking)


def _in_effect(session: Session, split: Split, scribe: Scribe) -> bool:
    """Wait for it; a rollback waits for no controller that could be helped."""
    if scribe.lenient:
        hasten(session, split)
    return wait_until_in_effect(session, split)


def _require_ready(session: Session, planned: Plan) -> None:
    for name in planned.after.names:
        answer = planned.after[name] <= planned.state.asked[name] or session.ready(name)
        if answer is not True:
            raise NotReadyError(
                f"{name} is not ready{f': {answer}' if answer else ''}",
                "a variant that cannot answer gets no more requests; nothing was changed",
            )


def _require_free(planned: Plan) -> None:
    for owner in planned.owners:
        if owner.controls:
            raise ConflictError(
                f"{owner.name} writes the split of {planned.change.ref}; nothing was changed",
                f"{owner.advice}; or --force, and it may be put back at once",
            )


def _enter_found(session: Session, scribe: Scribe) -> None:
    """Enter what somebody else made of the split, while one waited for one's own."""
    with suppress(AbctlError):  # the next command finds it as well
        state = session.observe()
        if state.book.version == scribe.book.version and scribe.book.ledger.intent:
            origin = scribe.book.ledger.intent.after
            entry = replace(found(session, state), before=origin, exact=False)
            if entry.after != origin:
                scribe.append(entry)


def _give_up(session: Session, scribe: Scribe, intent: Entry, error: ClusterError) -> None:
    """Close the intent of a change that was refused, where the object is as it was."""
    with suppress(AbctlError):  # an open intent hides nothing: the object says what holds
        version = version_of(session.world.get(session.target))
        written = scribe.book.ledger.intent
        if version == intent.version and intent.before and written:
            why = f"refused: {error.message}"
            more = {"version": version, "since": written.at}
            scribe.finish(session.entry(intent.after, intent.before, why, "reverted", **more))


def _carry(session: Session, planned: Plan, scribe: Scribe) -> Object:
    """Patch the platform's object, as long as the intent in the ledger is the last one.

    Which it was a moment ago. That the object is as it was seen is tested by the patch itself.

    Returns:
        The object as it is then.
    """
    world, change = session.world, planned.change
    for attempt in range(1, _PATCH_ATTEMPTS + 1):
        try:
            return change.after if change.empty else world.patch(change.ref, change.json_patch())
        except ConflictError:
            # Whose shift was overtaken may still have been faster here; the last intent wins.
            if attempt == _PATCH_ATTEMPTS:
                raise
        obj = world.get(change.ref)
        change = Change(obj, written(session.platform, obj, planned.after))
        scribe.require_latest()
    raise AssertionError  # the last round returns or raises
