"""Change the split: intent, patch, read back, wait until it is in effect, applied.

Killed anywhere, the next command sees the open intent: the same shift finishes it, a shift to where
it came from reverts it, any other takes its place. Of two at once, the one whose intent was written
last wins; the other ends with a ConflictError.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from abctl.cluster import Door
from abctl.core.assignment import regions, variant_at
from abctl.core.change import Change, Object
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Phase
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ConflictError, NotReadyError
from abctl.platforms import Platform, require_admissible
from abctl.session import ledger
from abctl.session.effect import Report, wait_until_in_effect
from abctl.session.look import Look, look

_log = logging.getLogger(__name__)
_PATCH_ATTEMPTS = 5

Ready = Callable[[str], bool | str]


@dataclass(frozen=True)
class Plan:
    """What a shift would do.

    Attributes:
        seen: the world as it is.
        after: the wanted split.
        change: of the platform's object; empty where it asks for that split already.
    """

    seen: Look
    after: Split
    change: Change

    @property
    def before(self) -> Split:
        """The split that is asked for now."""
        return self.seen.asked

    @property
    def empty(self) -> bool:
        """Whether there is nothing to change, to finish or to note."""
        return self.change.empty and not self.seen.drifted and self.seen.ledger.intent is None

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


def plan(door: Door, platform: Platform, experiment: Experiment, split: Split) -> Plan:
    """What `shift` would do, from a fresh look at the world.

    Raises:
        SpecError: the platform cannot express the split, or would refuse the object.
        NotFoundError: the experiment was not started.
    """
    return plan_from(look(door, platform, experiment), platform, split)


def plan_from(seen: Look, platform: Platform, split: Split) -> Plan:
    """What `shift` would do in the world as it was seen.

    Raises:
        SpecError: the platform cannot express the split, or would refuse the object.
    """
    change = Change(seen.carrier, platform.with_split(seen.carrier, split))
    if not change.empty:
        require_admissible(platform, [change.after])
    _log.info("split %s wanted, %s asked for now", split, seen.asked)
    return Plan(seen, split, change)


def shift(
    door: Door,
    platform: Platform,
    experiment: Experiment,
    split: Split,
    *,
    actor: str,
    why: str,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    timeout_seconds: float,
    ready: Ready = lambda _: True,
    planned: Plan | None = None,
    report: Report = lambda _: None,
) -> ShiftResult:
    """Bring a split into effect and enter it in the ledger.

    Args:
        door: the world that is changed.
        platform: what carries the split.
        experiment: whose split.
        split: the wanted one.
        actor: who wants it.
        why: for the ledger.
        clock: unix seconds.
        sleep: waits for some seconds.
        timeout_seconds: how long the platform may take.
        ready: whether a variant can take requests; a text says why it cannot.
        planned: the plan for this split, if it was made a moment ago.
        report: told what it waits for, in words.

    Raises:
        SpecError: the platform cannot express it.
        ConflictError: somebody else shifts at the same time.
        NotReadyError: a variant that would get more is not ready; or the platform did not report
            the split in time, and the intent stays open.
    """
    planned = planned or plan(door, platform, experiment, split)
    _require_ready(planned, ready)
    before, book, intent = planned.before, planned.seen.book, planned.seen.ledger.intent
    drift = before if planned.seen.drifted else None

    def entry(phase: Phase, old: Split | None, new: Split) -> Entry:
        return Entry(clock(), actor, old, new, why, phase)

    def wait() -> bool:
        ref = platform.target(experiment)
        return wait_until_in_effect(
            door,
            platform,
            ref,
            split,
            clock=clock,
            sleep=sleep,
            timeout_seconds=timeout_seconds,
            report=report,
        )

    if drift is not None:
        found = entry("observed", planned.seen.ledger.desired, drift)
        found = replace(found, actor="unknown", why=f"noticed by {actor}")
        book, intent = ledger.append(door, experiment, book, found), None
    if intent is None and planned.change.empty:
        return ShiftResult(before, split, changed=False, confirmed=wait(), drift=drift)
    outcome: Phase = "reverted" if intent and intent.before == split else "applied"
    if intent is None or split not in (intent.before, intent.after):
        intent = entry("intent", before, split)
        book = ledger.append(door, experiment, book, intent)
    else:
        ledger.require_latest(door, experiment, book)
    _carry(door, platform, experiment, planned, book)
    confirmed = wait()
    origin = intent.after if outcome == "reverted" else intent.before
    ledger.finish(door, experiment, book, entry(outcome, origin, split))
    return ShiftResult(before, split, changed=True, confirmed=confirmed, drift=drift)


def _require_ready(planned: Plan, ready: Ready) -> None:
    for name in planned.after.names:
        answer = planned.after[name] <= planned.before[name] or ready(name)
        if answer is not True:
            raise NotReadyError(
                f"{name} is not ready{f': {answer}' if answer else ''}",
                "a variant that cannot answer gets no more requests; nothing was changed",
            )


def _carry(
    door: Door, platform: Platform, experiment: Experiment, planned: Plan, book: Object
) -> None:
    """Patch the platform's object, as long as the intent in the ledger is the last one.

    Which it was a moment ago. That the object is as it was seen is tested by the patch itself.
    """
    change = planned.change
    for attempt in range(1, _PATCH_ATTEMPTS + 1):
        try:
            if not change.empty:
                door.patch(change.ref, change.json_patch())
        except ConflictError:
            # Whose shift was overtaken may still have been faster here; the last intent wins.
            if attempt == _PATCH_ATTEMPTS:
                raise
        else:
            return
        obj = door.get(change.ref)
        change = Change(obj, platform.with_split(obj, planned.after))
        ledger.require_latest(door, experiment, book)
