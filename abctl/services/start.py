"""Start an experiment: its objects, its ledger and the first epoch."""

from collections.abc import Callable

from abctl.cluster import Door
from abctl.core.change import Object, Ref
from abctl.core.epochs import Entry, ledger_of, new_object
from abctl.core.experiment import Experiment
from abctl.errors import ConflictError
from abctl.platforms import Platform
from abctl.services import ledger
from abctl.services.effect import wait_until_in_effect


def create(
    door: Door,
    platform: Platform,
    experiment: Experiment,
    *,
    actor: str,
    why: str,
    clock: Callable[[], float],
) -> None:
    """Make the ledger, with an open intent, and every object that is not there yet.

    What is there stays as it is, so whoever was killed in the middle just does it again.

    Raises:
        SpecError: the platform cannot express the experiment.
    """
    objects = platform.objects(experiment)
    intent = Entry(clock(), actor, None, experiment.split, why, "intent")
    known = ledger_of(_ensure(door, new_object(experiment, intent)))
    target = platform.target(experiment)
    for obj in objects:
        carries = Ref.of(obj) == target
        _ensure(door, platform.with_split(obj, known.wanted) if carries else obj)


def start(
    door: Door,
    platform: Platform,
    experiment: Experiment,
    *,
    actor: str,
    why: str,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    timeout_seconds: float,
) -> bool:
    """Make what is missing, wait until the split is in effect, and open the first epoch.

    An experiment that was started before goes on with the split of its ledger.

    Returns:
        Whether the platform confirmed it; False where it cannot say.

    Raises:
        SpecError: the platform cannot express the experiment.
        NotReadyError: not in effect in time; starting again goes on waiting.
    """
    create(door, platform, experiment, actor=actor, why=why, clock=clock)
    book = ledger.read(door, experiment)
    intent, split = ledger_of(book).intent, ledger_of(book).wanted
    ref = platform.target(experiment)
    confirmed = wait_until_in_effect(
        door, platform, ref, split, clock=clock, sleep=sleep, timeout_seconds=timeout_seconds
    )
    if intent and intent.before is None:
        ledger.finish(
            door, experiment, book, Entry(clock(), actor, None, intent.after, why, "applied")
        )
    return confirmed


def _ensure(door: Door, obj: Object) -> Object:
    try:
        return door.create(obj)
    except ConflictError:
        return door.get(Ref.of(obj))
