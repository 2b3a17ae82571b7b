"""Take an experiment out of a cluster: its objects in reverse order, its ledger last.

What its collector remembers, and its keys, stay unless they are meant too.
"""

from abctl.cluster import KubeClient
from abctl.core.change import Ref
from abctl.core.collector import is_made, keys_of
from abctl.core.ledger import ledger_ref, other_ref
from abctl.errors import ClusterError, ConflictError, NewerFormError, NotFoundError
from abctl.session import ledger
from abctl.session.apply import known_ledger, require_created
from abctl.session.session import Session
from abctl.session.tombstones import bury


def refs(session: Session, *, memory: bool = False) -> list[Ref]:
    """What is deleted, in its order: what sends requests goes before what answers them.

    Args:
        session: the experiment in its cluster.
        memory: also what the collector remembers, and its keys; else they are `kept`.
    """
    made = [Ref.of(obj) for obj in session.objects]
    left = kept(session)
    also = left if memory else []
    return [*(ref for ref in reversed(made) if ref not in left), *also, _ledger_ref(session)]


def kept(session: Session) -> list[Ref]:
    """What is deleted only if it is asked for: the collector's memory and keys."""
    if session.adopted or not is_made(session.experiment):
        return []
    made = (Ref.of(obj) for obj in session.objects)
    claims = [ref for ref in made if ref.kind == "PersistentVolumeClaim"]
    return [*claims, keys_of(session.experiment)]


def _ledger_ref(session: Session) -> Ref:
    """Of the ledger; one that is of another object of the same name is never meant."""
    own = ledger_ref(session.experiment)
    try:
        return Ref.of(ledger.find(session.world, session.experiment))
    except NotFoundError:
        there = _known_to_be_there(session.world, own)
        return other_ref(session.experiment, session.target) if there else own
    except ClusterError:
        return own


def _known_to_be_there(world: KubeClient, ref: Ref) -> bool:
    try:
        world.get(ref)
    except ClusterError:
        return False
    return True


def _require_nothing_else(session: Session) -> None:
    """Refuse to take along what others have in the object; of a file only a part is deleted."""
    besides, target = session.platform.CAPABILITIES.besides, session.target
    if besides is None or session.adopted or session.experiment.flag_file:
        return
    try:
        left = besides(session.world.get(target))
    except ClusterError:  # nothing to take along, or nobody can tell
        return
    if left:
        raise ConflictError(
            f"{target} also holds {', '.join(left)}, which would be deleted too",
            f"take the experiment's flag out of it yourself; then kubectl delete configmap "
            f"{_ledger_ref(session).name} -n {target.namespace} puts the ledger away",
        )


def delete(
    session: Session, *, dry_run: bool = False, verdict: str = "", memory: bool = False
) -> list[Ref]:
    """Delete everything, and give what was there; it may be repeated, what is gone is no error.

    A dry run asks the cluster whether it would. Of the ledger a tombstone remains.

    Args:
        session: the experiment in its cluster.
        dry_run: only ask.
        verdict: the last one, for the tombstone.
        memory: as for `refs`.

    Raises:
        ConflictError: abctl did not create it, or its object holds more than the experiment.
        NewerFormError: a newer abctl has written the ledger.
        ClusterError: the cluster refuses; what was deleted before stays deleted.
    """
    try:
        known = known_ledger(session)
    except NewerFormError:
        raise  # whoever understands it can leave a tombstone
    except ClusterError:
        known = None  # damaged: that too can be deleted
    require_created(session, known)
    _require_nothing_else(session)
    if known and not dry_run:
        bury(session, known, verdict)
    deleted = list[Ref]()
    for ref in refs(session, memory=memory):
        there = session.world.delete(ref, dry_run=dry_run)
        done = f"deleted{' (dry run)' if dry_run else ''}" if there else "was not there"
        session.report(f"{ref} {done}")
        deleted += [ref] if there else []
    return deleted
