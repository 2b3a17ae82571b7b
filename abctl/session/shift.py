"""Change the split: intent, patch, read back, wait until it is in effect, applied.

Killed anywhere, the next command sees the open intent: the same shift finishes it, a shift to where
it came from reverts it, any other takes its place. Of two at once, the one whose intent was written
last wins; the other ends with a ConflictError.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from abctl.core.assignment import regions, variant_at
from abctl.core.change import Change
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ConflictError, NotReadyError, UsageError
from abctl.platforms import require_admissible
from abctl.session import ledger
from abctl.session.ledger import Book
from abctl.session.session import Session, State

_log = logging.getLogger(__name__)
_PATCH_ATTEMPTS = 5
_FIRST_POLL_SECONDS, _SLOWEST_POLL_SECONDS = 0.005, 0.5

# Gives the wanted split for the one that is asked for now.
Choose = Callable[[Split], Split]


@dataclass(frozen=True)
class Plan:
    """What a shift would do.

    Attributes:
        state: the world as it is.
        after: the wanted split.
        change: of the platform's object; empty where it asks for that split already.
    """

    state: State
    after: Split
    change: Change

    @property
    def before(self) -> Split:
        """The split that is asked for now."""
        return self.state.asked

    @property
    def empty(self) -> bool:
        """Whether there is nothing to change, to finish or to note."""
        return self.change.empty and not self.state.drifted and self.state.ledger.intent is None

    @property
    def moves(self) -> Mapping[tuple[str, str], int]:
        """Which units move from which variant to which, in basis points of all.

        Only where a unit keeps its variant: single requests do not move.
        """
        cuts = {0, TOTAL_BP}
        for split in (self.before, self.after):
            cuts |= {region.stop for region in regions(split)}
        moved: dict[tuple[str, str], int] = {}
        for start, stop in pairwise(sorted(cuts)):
            pair = variant_at(self.before, start), variant_at(self.after, start)
            if pair[0] != pair[1]:
                moved[pair] = moved.get(pair, 0) + stop - start
        return moved


@dataclass(frozen=True)
class ShiftResult:
    """What a shift did.

    Attributes:
        before: the split that was asked for before.
        after: the split now.
        changed: False where it was in effect already.
        confirmed: False where the platform cannot say whether it is in effect.
        drift: a split that somebody else had set, found and entered in the ledger.
    """

    before: Split
    after: Split
    changed: bool
    confirmed: bool
    drift: Split | None


def promoted(asked: Split, variant: str | None = None) -> Split:
    """Everything to a treatment; to the only one if none is named.

    Raises:
        UsageError: the control is named, or there are several treatments and none is.
    """
    chosen = _only(asked.names[1:]) if variant is None else variant
    if chosen == asked.control:
        raise UsageError(
            f"{chosen!r} is the control, not a treatment", "abctl rollback sends everything there"
        )
    return asked.with_shares(dict.fromkeys(asked.names, 0) | {chosen: TOTAL_BP})


def rolled_back(asked: Split) -> Split:
    """Everything back to the control."""
    return asked.with_shares(dict.fromkeys(asked.names[1:], 0))


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
    return Plan(state, split, change)


def check(session: Session, planned: Plan) -> None:
    """Let the world check the change of its object, and change nothing.

    Raises:
        ClusterError: it would refuse it.
    """
    if not planned.change.empty:
        patch = planned.change.json_patch()
        session.world.patch(planned.change.ref, patch, dry_run=True)


def shift(
    session: Session, wanted: Split | Choose, *, why: str, planned: Plan | None = None
) -> ShiftResult:
    """Bring a split into effect and enter it in the ledger.

    `shift(session, promoted, why=...)` and `shift(session, rolled_back, why=...)` send everything
    to the treatment, and back to the control.

    Args:
        session: the experiment in its world.
        wanted: the split, or what chooses it.
        why: for the ledger.
        planned: the plan for this, if it was made a moment ago.

    Raises:
        SpecError: the platform cannot express it.
        ConflictError: somebody else shifts at the same time.
        NotReadyError: a variant that would get more is not ready; or the platform did not report
            the split in time, and the intent stays open.
    """
    planned = planned or plan(session, wanted)
    split = planned.after
    _require_ready(session, planned)
    world, experiment = session.world, session.experiment
    state, before, intent = planned.state, planned.before, planned.state.ledger.intent
    book, drift = state.book, before if state.drifted else None
    if drift is not None:
        found = session.entry(state.ledger.desired, drift, "", "observed")
        found = replace(found, actor="unknown", why=f"noticed by {found.actor}")
        book, intent = ledger.append(world, experiment, book, found), None
    if intent is None and planned.change.empty:
        confirmed = wait_until_in_effect(session, split)
        return ShiftResult(before, split, changed=False, confirmed=confirmed, drift=drift)
    reverts = intent is not None and intent.before == split
    if intent is None or split not in (intent.before, intent.after):
        intent = session.entry(before, split, why, "intent")
        book = ledger.append(world, experiment, book, intent)
    else:
        ledger.require_latest(world, experiment, book)
    _carry(session, planned, book)
    confirmed = wait_until_in_effect(session, split)
    origin = intent.after if reverts else intent.before
    outcome = session.entry(origin, split, why, "reverted" if reverts else "applied")
    ledger.finish(world, experiment, book, outcome)
    return ShiftResult(before, split, changed=True, confirmed=confirmed, drift=drift)


def wait_until_in_effect(
    session: Session, split: Split, timeout_seconds: float | None = None
) -> bool:
    """Read the object until its status reports the split; False where it cannot say.

    What it waits for is reported, unless that takes but a moment. `timeout_seconds` is the
    session's if None.

    Raises:
        ConflictError: somebody else changed the object meanwhile.
        NotReadyError: not in time, with the platform's reason.
    """
    if timeout_seconds is None:
        timeout_seconds = session.timeout_seconds
    platform, ref = session.platform, session.target
    deadline, pause, told = session.clock() + timeout_seconds, _FIRST_POLL_SECONDS, ""
    while True:
        obj = session.world.get(ref)
        if (asked := platform.split_of(obj)) != split:
            raise ConflictError(f"{ref}: somebody else changed it to {asked}", "see `abctl status`")
        reported = platform.programmed(obj)
        if reported == split:
            return True
        reason = platform.refusal(obj)
        if reported is None and reason is None:
            return False
        lacking = reason or f"still {reported}"
        if session.clock() >= deadline:
            raise NotReadyError(
                f"{ref}: {split} is not in effect after {timeout_seconds:g} s ({lacking})",
                "the same command again goes on waiting, a shift back reverts it",
            )
        if lacking != told and pause >= _SLOWEST_POLL_SECONDS:
            session.report(f"waiting: {lacking}")
            told = lacking
        session.sleep(pause)
        pause = min(pause * 1.5, _SLOWEST_POLL_SECONDS)


def _only(treatments: tuple[str, ...]) -> str:
    if len(treatments) != 1:
        listed = ", ".join(treatments) or "none"
        raise UsageError(f"which treatment? {listed}", "abctl promote EXPERIMENT VARIANT")
    return treatments[0]


def _require_ready(session: Session, planned: Plan) -> None:
    for name in planned.after.names:
        answer = planned.after[name] <= planned.before[name] or session.ready(name)
        if answer is not True:
            raise NotReadyError(
                f"{name} is not ready{f': {answer}' if answer else ''}",
                "a variant that cannot answer gets no more requests; nothing was changed",
            )


def _carry(session: Session, planned: Plan, book: Book) -> None:
    """Patch the platform's object, as long as the intent in the ledger is the last one.

    Which it was a moment ago. That the object is as it was seen is tested by the patch itself.
    """
    world, change = session.world, planned.change
    for attempt in range(1, _PATCH_ATTEMPTS + 1):
        try:
            if not change.empty:
                world.patch(change.ref, change.json_patch())
        except ConflictError:
            # Whose shift was overtaken may still have been faster here; the last intent wins.
            if attempt == _PATCH_ATTEMPTS:
                raise
        else:
            return
        obj = world.get(change.ref)
        change = Change(obj, session.platform.with_split(obj, planned.after))
        ledger.require_latest(world, session.experiment, book)
