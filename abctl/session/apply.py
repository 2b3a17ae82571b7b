"""Bring an experiment into a cluster: its objects in their order, its ledger, its first epoch.

Server-side apply, so it may be repeated: the split stays as the ledger wants it, and what others
have set is a conflict. The object that carries the split is applied only when every variant that
gets requests by it is ready; what must be rolled out before (KServe's control) is waited for.
"""

import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from abctl.cluster import KubeClient
from abctl.core.change import Change, Object, Ref
from abctl.core.collector import is_made, keys_object, keys_of
from abctl.core.ledger import Entry, Ledger
from abctl.errors import AbctlError, ConflictError, NotFoundError, NotReadyError
from abctl.forms.ledger import new_object
from abctl.forms.plan import as_locked, first_difference
from abctl.platforms import require_admissible
from abctl.session import ledger
from abctl.session.carrier import apply_carrier
from abctl.session.ledger import Book
from abctl.session.readiness import COLLECTS, serving
from abctl.session.rivals import require_alone, wait_until_alone
from abctl.session.session import Session
from abctl.session.tombstones import require_fresh
from abctl.session.wait import wait_until_in_effect

_POLL_SECONDS = 0.5
_KEY_BYTES = 32


class Step(Change):
    """One object before and after its apply."""

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
    return _wanted(session, known_ledger(session))


def _wanted(session: Session, known: Ledger | None) -> list[Object]:
    platform, experiment = session.platform, session.experiment
    require_created(session, known)
    if known and (parts := known.changed_since(experiment)):
        raise ConflictError(
            f"{', '.join(parts)} of the file differ from what was locked at the start"
            f" ({first_difference(known, experiment)})",
            "abctl amend changes the plan on record, and only what comes then counts; or abctl "
            "delete, then apply it anew with another salt",
        )
    if known:
        session = replace(session, experiment=as_locked(known, experiment))
    objects, target = session.objects, session.target
    require_admissible(platform, objects)
    split = known.wanted if known else experiment.split
    return [platform.with_split(o, split) if Ref.of(o) == target else o for o in objects]


def require_created(session: Session, known: Ledger | None) -> None:
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
        ConflictError: somebody else manages fields of one of them, or of several; or another
            experiment has used the salt.
        ClusterError: the cluster refuses an object.
    """
    if known_ledger(session) is None:
        require_alone(session, _carrier(session, objects), force=force)
        require_fresh(session)
    after = _tried(session.world, objects, force=force)
    return [Step(_read(session.world, o), then) for o, then in zip(objects, after, strict=True)]


def _carrier(session: Session, objects: list[Object]) -> Object:
    return next(obj for obj in objects if Ref.of(obj) == session.target)


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


def apply(
    session: Session, *, why: str, wait: bool = True, force: bool = False, queue: bool = False
) -> bool:
    """Apply everything and open the first epoch.

    Args:
        session: the experiment in its cluster; its timeout is for everything together.
        why: for the ledger.
        wait: for readiness and for the split's effect; else the ledger keeps an open intent, and
            applying again finishes it.
        force: take over fields that somebody else manages, and start beside an experiment that
            has the same host or Services.
        queue: wait until no other experiment has them; the session's timeout is for that too.

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
    book = _known(session)
    objects = _wanted(session, book.ledger if book else None)

    def left_seconds() -> float:
        return max(0.0, deadline - session.clock())

    # What is refused is refused before anything is written. Of two experiments that is the one that
    # comes later, not the one that runs.
    if book is None:
        _begin_alone(session, objects, deadline, force=force, queue=queue)
        deadline = session.clock() + session.timeout_seconds
    else:
        _tried(world, objects, force=force)
    if book is None:
        book = _opened(session, why)
        # It may be that of somebody who began at the same moment, with another file.
        objects = _wanted(session, book.ledger)
    _make_keys(session)
    split = book.ledger.wanted
    for obj in platform.baseline(experiment):
        if _is_before(world, obj):
            ref = Ref.of(world.apply(obj, force=force))
            session.report(f"{ref} applied, to be rolled out first")
            # Without this the control would never get a revision of its own.
            wait_until_in_effect(session, platform.split_of(obj), left_seconds())
    for obj in objects:
        if Ref.of(obj) != session.target:
            world.apply(obj, force=force)
        else:
            needed = [name for name in split.names if split[name] and wait]
            _await_servers(session, objects, needed, deadline)
            split = apply_carrier(session, obj, force=force)
        session.report(f"{Ref.of(obj)} applied")
    if not wait:
        return False
    if platform.CAPABILITIES.inquiry:
        _await_servers(session, objects, [None], deadline)  # else there is no pod to ask
    # Its counts begin with the first epoch.
    _await_servers(session, objects, [COLLECTS], deadline)
    confirmed = wait_until_in_effect(session, split, left_seconds())
    _begin(session, book, why)
    return confirmed


def _begin_alone(
    session: Session, objects: list[Object], deadline: float, *, force: bool, queue: bool
) -> None:
    """Let the world check the objects, while nobody else has what they need."""
    carrier = _carrier(session, objects)
    if queue:
        wait_until_alone(session, carrier, deadline)
    else:
        require_alone(session, carrier, force=force)
    _tried(session.world, objects, force=force)
    if queue:
        # Of those who waited for the same, another one may have begun meanwhile.
        wait_until_alone(session, carrier, deadline)


def _make_keys(session: Session) -> None:
    """Make the keys of the collector, unless they are there; they are never read."""
    experiment = session.experiment
    if session.adopted or not is_made(experiment):
        return
    unit, signing = (secrets.token_hex(_KEY_BYTES) for _ in range(2))
    with suppress(ConflictError):
        session.world.create(keys_object(experiment, unit=unit, signing=signing))
        session.report(f"{keys_of(experiment)} made, with new keys")


def _opened(session: Session, why: str) -> Book:
    """A new ledger, with an open intent; or the one that somebody else has just made."""
    from abctl.analysis.meaning import meaning  # noqa: PLC0415 - statistics are slow to import

    experiment = session.experiment
    first, target = session.entry(None, experiment.split, why, "intent"), session.target
    require_fresh(session)
    made = new_object(experiment, first, meaning(experiment), target=target)
    there = _ensure(session.world, made)
    if not ledger.is_of(there, experiment, target):
        raise ConflictError(
            f"{Ref.of(there)} is the ledger of another object that is called {experiment.name}",
            "give the experiment a name of its own (metadata.name)",
        )
    return Book.of(there)


def _begin(session: Session, book: Book, why: str) -> None:
    """Open the first epoch, unless it is open already."""
    intent = book.ledger.intent
    if intent and intent.before is None:
        done = session.entry(None, intent.after, why, "applied")
        ledger.finish(session.world, session.experiment, book, done)
        announce(session, done)


def announce(session: Session, entry: Entry) -> None:
    """An Event of what was done; whatever stands in its way is no error."""
    with suppress(AbctlError):
        session.audit.announce(session.world.get(session.target), entry)


def known_ledger(session: Session) -> Ledger | None:
    """The experiment's ledger; None where it was not applied yet.

    Raises:
        ClusterError: it is damaged, or cannot be read.
    """
    return known.ledger if (known := _known(session)) else None


def _known(session: Session) -> Book | None:
    try:
        return Book.of(ledger.find(session.world, session.experiment))
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
    """Wait until variants can answer; None is the proxy before them, `COLLECTS` the collector."""
    told = ""
    for name in names:
        words = "the collector" if name == COLLECTS else name or "the proxy"
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
    book = _known(session) or _opened(session, why)
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
