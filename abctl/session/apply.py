"""Bring an experiment into a cluster, and take it out again.

In: its objects in their order, its ledger, its first epoch. Out: its objects in reverse order, its
ledger last.

Server-side apply, so it may be repeated: the split stays as the ledger wants it, and what others
have set is a conflict. The object that carries the split is applied only when every variant that
gets requests by it is ready; what must be rolled out before (KServe's control) is waited for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from abctl.cluster import KubeClient
from abctl.core.change import Object, Ref
from abctl.core.ledger import Ledger, ledger_ref
from abctl.errors import ClusterError, ConflictError, NotFoundError, NotReadyError
from abctl.forms.ledger import new_object
from abctl.forms.plan import as_locked, first_difference
from abctl.platforms import require_admissible
from abctl.session import ledger
from abctl.session.ledger import Book
from abctl.session.readiness import serving
from abctl.session.session import Session
from abctl.session.shift import wait_until_in_effect

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


def wanted(session: Session) -> list[Object]:
    """The experiment's objects, with the split of the ledger where there is one.

    Raises:
        SpecError: the platform cannot express the experiment.
        ConflictError: it is not as it was locked when it started, or abctl did not create it.
    """
    platform, experiment = session.platform, session.experiment
    known = _known(session)
    _require_created(session, known)
    if known and (parts := known.changed_since(experiment)):
        raise ConflictError(
            f"{', '.join(parts)} of the file differ from what was locked at the start"
            f" ({first_difference(known, experiment)})",
            "a plan that changes with the data proves nothing: abctl delete, then apply it anew",
        )
    if known:
        session = replace(session, experiment=as_locked(known, experiment))
    objects, target = session.objects, session.target
    require_admissible(platform, objects)
    split = known.wanted if known else experiment.split
    return [platform.with_split(o, split) if Ref.of(o) == target else o for o in objects]


def _require_created(session: Session, known: Ledger | None) -> None:
    """Refuse to replace or delete an object that was there before abctl.

    Raises:
        ConflictError: a shift of KIND/NAME began the ledger.
    """
    if known and known.without_plan:
        raise ConflictError(
            f"abctl did not create {session.target}: a shift of KIND/NAME began its ledger",
            f"abctl shift {session.word} and abctl analyze {session.word} work with it as it is; "
            "abctl apply and delete do not",
        )


def steps(session: Session, objects: list[Object], *, force: bool = False) -> list[Step]:
    """What an apply of the objects would do, by the cluster's own dry run.

    Raises:
        ConflictError: somebody else manages fields of one of them, or of several.
        ClusterError: the cluster refuses an object.
    """
    after = _tried(session.world, objects, force=force)
    return [Step(_read(session.world, o), then) for o, then in zip(objects, after, strict=True)]


def _tried(world: KubeClient, objects: list[Object], *, force: bool) -> list[Object]:
    """What each object would be; the conflicts of all of them are told together."""
    found, conflicts = list[Object](), list[ConflictError]()
    for obj in objects:
        try:
            found.append(world.apply(obj, dry_run=True, force=force))
        except ConflictError as conflict:
            conflicts.append(conflict)
    if conflicts:
        raise ConflictError("; ".join(each.message for each in conflicts), conflicts[0].hint)
    return found


def apply(session: Session, *, why: str, wait: bool = True, force: bool = False) -> bool:
    """Apply everything and open the first epoch.

    Args:
        session: the experiment in its cluster; its timeout is for everything together.
        why: for the ledger.
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
    deadline = session.clock() + session.timeout_seconds
    world, platform, experiment = session.world, session.platform, session.experiment
    objects = wanted(session)

    def left_seconds() -> float:
        return max(0.0, deadline - session.clock())

    # What is refused is refused before anything is written.
    _tried(world, objects, force=force)
    book = _opened(session, why)
    split = book.ledger.wanted
    for obj in platform.baseline(experiment):
        if _is_before(world, obj):
            ref = Ref.of(world.apply(obj, force=force))
            session.report(f"{ref} applied, to be rolled out first")
            # Without this the control would never get a revision of its own.
            wait_until_in_effect(session, platform.split_of(obj), left_seconds())
    for obj in objects:
        if wait and Ref.of(obj) == session.target:
            needed = (name for name in split.names if split[name])
            _await_servers(session, objects, needed, deadline)
        session.report(f"{Ref.of(world.apply(obj, force=force))} applied")
    if not wait:
        return False
    if platform.CAPABILITIES.inquiry:
        _await_servers(session, objects, [None], deadline)  # else there is no pod to ask
    confirmed = wait_until_in_effect(session, split, left_seconds())
    _begin(session, book, why)
    return confirmed


def _opened(session: Session, why: str) -> Book:
    """The ledger; if there is none yet, a new one with an open intent."""
    from abctl.analysis.meaning import meaning  # noqa: PLC0415 - statistics are slow to import

    experiment = session.experiment
    first = session.entry(None, experiment.split, why, "intent")
    return Book.of(_ensure(session.world, new_object(experiment, first, meaning(experiment))))


def _begin(session: Session, book: Book, why: str) -> None:
    """Open the first epoch, unless it is open already."""
    intent = book.ledger.intent
    if intent and intent.before is None:
        done = session.entry(None, intent.after, why, "applied")
        ledger.finish(session.world, session.experiment, book, done)


def _known(session: Session) -> Ledger | None:
    try:
        return Book.of(session.world.get(ledger_ref(session.experiment))).ledger
    except NotFoundError:
        return None


def _read(world: KubeClient, obj: Object) -> Object | None:
    try:
        return world.get(Ref.of(obj))
    except NotFoundError:
        return None


def _ensure(world: KubeClient, obj: Object) -> Object:
    try:
        return world.create(obj)
    except ConflictError:
        return world.get(Ref.of(obj))


def _is_before(world: KubeClient, obj: Object) -> bool:
    """Whether what must be rolled out first is not there yet, or is all that is there."""
    there = _read(world, obj)
    return there is None or not Step(there, world.apply(obj, dry_run=True, force=True)).changes


def _await_servers(
    session: Session, objects: list[Object], names: Iterable[str | None], deadline: float
) -> None:
    """Wait until the variants of these names can answer; None is the proxy before them."""
    told = ""
    for name in names:
        words = name or "the proxy"
        while isinstance(answer := serving(session.world, objects, name), str):
            if session.clock() >= deadline:
                raise NotReadyError(
                    f"{words} is not ready: {answer}", "applying again goes on waiting"
                )
            if answer != told:
                session.report(f"waiting for {words}: {answer}")
                told = answer
            session.sleep(_POLL_SECONDS)


def create(session: Session, *, why: str) -> Book:
    """Make the ledger, with an open intent, and every object that is not there yet.

    What is there stays as it is, so whoever was killed in the middle just does it again.

    Returns:
        The ledger as it is then.

    Raises:
        SpecError: the platform cannot express the experiment.
    """
    objects, target, platform = session.objects, session.target, session.platform
    book = _opened(session, why)
    for obj in objects:
        carries = Ref.of(obj) == target
        split = book.ledger.wanted
        _ensure(session.world, platform.with_split(obj, split) if carries else obj)
    return book


def start(session: Session, *, why: str) -> bool:
    """Make what is missing, wait until the split is in effect, and open the first epoch.

    An experiment that was started before goes on with the split of its ledger.

    Returns:
        Whether the platform confirmed it; False where it cannot say.

    Raises:
        SpecError: the platform cannot express the experiment.
        NotReadyError: not in effect in time; starting again goes on waiting.
    """
    book = create(session, why=why)
    confirmed = wait_until_in_effect(session, book.ledger.wanted)
    _begin(session, book, why)
    return confirmed


def refs(session: Session) -> list[Ref]:
    """What is deleted, in its order: what sends requests goes before what answers them."""
    made = [Ref.of(obj) for obj in session.objects]
    return [*reversed(made), ledger_ref(session.experiment)]


def delete(session: Session, *, dry_run: bool = False) -> list[Ref]:
    """Delete everything, and give what was there; it may be repeated, what is gone is no error.

    A dry run asks the cluster whether it would.

    Raises:
        ConflictError: abctl did not create it.
        ClusterError: the cluster refuses; what was deleted before stays deleted.
    """
    try:
        known = _known(session)
    except ClusterError:
        known = None  # damaged: that too can be deleted
    _require_created(session, known)
    deleted = list[Ref]()
    for ref in refs(session):
        there = session.world.delete(ref, dry_run=dry_run)
        done = f"deleted{' (dry run)' if dry_run else ''}" if there else "was not there"
        session.report(f"{ref} {done}")
        deleted += [ref] if there else []
    return deleted
