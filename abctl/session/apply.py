"""Bring an experiment into a cluster: its objects in their order, its ledger, its first epoch.

Server-side apply, so it may be repeated: the split stays as the ledger wants it, and what others
have set is a conflict. The object that carries the split is applied only when every variant that
gets requests by it is ready; what must be rolled out before (KServe's control) is waited for.

Start an experiment: its objects, its ledger and the first epoch.

Take an experiment out of a cluster: its objects in reverse order, its ledger last.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from abctl.cluster import Door
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Ledger, ledger_ref
from abctl.core.split import Split
from abctl.errors import ConflictError, NotFoundError, NotReadyError
from abctl.forms.ledger import ledger_of, new_object
from abctl.forms.plan import as_locked, first_difference
from abctl.platforms import Platform, require_admissible
from abctl.session import ledger
from abctl.session.effect import Report, wait_until_in_effect
from abctl.session.readiness import serving

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Step:
    """One object before and after its apply; `before` is None where it is created."""

    before: Object | None
    after: Object

    @property
    def ref(self) -> Ref:
        """Which object."""
        return Ref.of(self.after)

    @property
    def changes(self) -> bool:
        """Whether anything that is somebody's to write differs."""
        return self.before is None or bare(self.before) != bare(self.after)


def bare(obj: Object) -> Object:
    """What people write of an object: without its status and what the server notes of it."""
    kept = ("name", "namespace", "labels", "annotations")
    meta = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": meta}


def wanted(door: Door, platform: Platform, experiment: Experiment) -> list[Object]:
    """The experiment's objects, with the split of the ledger where there is one.

    Raises:
        SpecError: the platform cannot express the experiment.
        ConflictError: it is not as it was locked when it started.
    """
    known = _known(door, experiment)
    if known and (parts := known.changed_since(experiment)):
        raise ConflictError(
            f"{', '.join(parts)} of the file differ from what was locked at the start"
            f" ({first_difference(known, experiment)})",
            "a plan that changes with the data proves nothing: abctl delete, then apply it anew",
        )
    experiment = as_locked(known, experiment) if known else experiment
    objects, target = platform.objects(experiment), platform.target(experiment)
    require_admissible(platform, objects)
    split = known.wanted if known else experiment.split
    return [platform.with_split(o, split) if Ref.of(o) == target else o for o in objects]


def steps(door: Door, objects: list[Object], *, force: bool = False) -> list[Step]:
    """What an apply of the objects would do, by the cluster's own dry run.

    Raises:
        ConflictError: somebody else manages fields of one of them, or of several.
        ClusterError: the cluster refuses an object.
    """
    after = _tried(door, objects, force=force)
    return [Step(_read(door, obj), then) for obj, then in zip(objects, after, strict=True)]


def _tried(door: Door, objects: list[Object], *, force: bool) -> list[Object]:
    """What each object would be; the conflicts of all of them are told together."""
    found, conflicts = list[Object](), list[ConflictError]()
    for obj in objects:
        try:
            found.append(door.apply(obj, dry_run=True, force=force))
        except ConflictError as conflict:
            conflicts.append(conflict)
    if conflicts:
        raise ConflictError("; ".join(each.message for each in conflicts), conflicts[0].hint)
    return found


def apply(
    door: Door,
    platform: Platform,
    experiment: Experiment,
    *,
    actor: str,
    why: str,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    timeout_seconds: float,
    report: Report,
    wait: bool = True,
    force: bool = False,
) -> bool:
    """Apply everything and open the first epoch.

    Args:
        door: the cluster.
        platform: what carries the split.
        experiment: what to apply.
        actor: who does it.
        why: for the ledger.
        clock: unix seconds.
        sleep: waits for some seconds.
        timeout_seconds: how long everything may take together.
        report: told of each object and of what it waits for, in words.
        wait: for readiness and for the split's effect; else the ledger keeps an open intent, and
            applying again finishes it.
        force: take over fields that somebody else manages.

    Returns:
        Whether the split is known to be in effect.

    Raises:
        SpecError: the platform cannot express the experiment.
        ConflictError: somebody else manages a field, or the plan is not as it was locked; nothing
            was changed.
        NotReadyError: not in time; applying again goes on.
    """
    deadline = clock() + timeout_seconds
    objects, target = wanted(door, platform, experiment), platform.target(experiment)

    def in_effect(split: Split) -> bool:
        left = max(0.0, deadline - clock())
        return wait_until_in_effect(
            door,
            platform,
            target,
            split,
            clock=clock,
            sleep=sleep,
            timeout_seconds=left,
            report=report,
        )

    def await_servers(names: Iterable[str | None]) -> None:
        _await_servers(
            door, objects, names, clock=clock, sleep=sleep, deadline=deadline, report=report
        )

    # What is refused is refused before anything is written.
    _tried(door, objects, force=force)
    first = Entry(clock(), actor, None, experiment.split, why, "intent")
    book = _ensure(door, _begun(experiment, first))
    known = ledger_of(book)
    for obj in platform.baseline(experiment):
        if _is_before(door, obj):
            report(f"{Ref.of(door.apply(obj, force=force))} applied, to be rolled out first")
            # Without this the control would never get a revision of its own.
            in_effect(platform.split_of(obj))
    for obj in objects:
        if wait and Ref.of(obj) == target:
            await_servers(name for name in known.wanted.names if known.wanted[name])
        report(f"{Ref.of(door.apply(obj, force=force))} applied")
    if not wait:
        return False
    if platform.CAPABILITIES.inquiry:
        await_servers([None])  # before it runs there is no pod to ask
    confirmed = in_effect(known.wanted)
    if known.intent and known.intent.before is None:
        done = Entry(clock(), actor, None, known.wanted, why, "applied")
        ledger.finish(door, experiment, book, done)
    return confirmed


def _known(door: Door, experiment: Experiment) -> Ledger | None:
    try:
        return ledger_of(door.get(ledger_ref(experiment)))
    except NotFoundError:
        return None


def _begun(experiment: Experiment, first: Entry) -> Object:
    """The ledger of an experiment that starts."""
    from abctl.analysis.meaning import meaning  # noqa: PLC0415 - statistics are slow to import

    return new_object(experiment, first, meaning(experiment))


def _read(door: Door, obj: Object) -> Object | None:
    try:
        return door.get(Ref.of(obj))
    except NotFoundError:
        return None


def _ensure(door: Door, obj: Object) -> Object:
    try:
        return door.create(obj)
    except ConflictError:
        return door.get(Ref.of(obj))


def _is_before(door: Door, obj: Object) -> bool:
    """Whether what must be rolled out first is not there yet, or is all that is there."""
    there = _read(door, obj)
    return there is None or not Step(there, door.apply(obj, dry_run=True, force=True)).changes


def _await_servers(
    door: Door,
    objects: list[Object],
    names: Iterable[str | None],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    deadline: float,
    report: Report,
) -> None:
    """Wait until the variants of these names can answer; None is the proxy before them."""
    told = ""
    for name in names:
        words = name or "the proxy"
        while isinstance(answer := serving(door, objects, name), str):
            if clock() >= deadline:
                raise NotReadyError(
                    f"{words} is not ready: {answer}", "applying again goes on waiting"
                )
            if answer != told:
                report(f"waiting for {words}: {answer}")
                told = answer
            sleep(_POLL_SECONDS)


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
    known = ledger_of(_ensure(door, _begun(experiment, intent)))
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


def refs(platform: Platform, experiment: Experiment) -> list[Ref]:
    """What is deleted, in its order: what sends requests goes before what answers them."""
    objects = platform.objects(experiment)
    return [*(Ref.of(obj) for obj in reversed(objects)), ledger_ref(experiment)]


def delete(
    door: Door,
    platform: Platform,
    experiment: Experiment,
    report: Callable[[str], None],
    *,
    dry_run: bool = False,
) -> list[Ref]:
    """Delete everything, and give what was there; it may be repeated, what is gone is no error.

    A dry run asks the cluster whether it would.

    Raises:
        ClusterError: the cluster refuses; what was deleted before stays deleted.
    """
    deleted = list[Ref]()
    for ref in refs(platform, experiment):
        there = door.delete(ref, dry_run=dry_run)
        done = f"deleted{' (dry run)' if dry_run else ''}" if there else "was not there"
        report(f"{ref} {done}")
        deleted += [ref] if there else []
    return deleted
