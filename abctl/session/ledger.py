"""The ledger in the world: read it, append to it; whoever comes second finds out."""

import json
from dataclasses import dataclass

from abctl.cluster import KubeClient
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import SAID, Entry, Ledger, ledger_ref, other_ref
from abctl.core.split import Split
from abctl.errors import ConflictError, NotFoundError
from abctl.forms.ledger import ledger_of, target_of, with_ledger, with_target
from abctl.platforms import platform


@dataclass(frozen=True)
class Book:
    """The ConfigMap with the ledger, as it is in the world, and what it says.

    Its text is parsed when it is read, and never again.
    """

    obj: Object
    ledger: Ledger

    @classmethod
    def of(cls, obj: Object) -> "Book":
        """What a ConfigMap says.

        Raises:
            ClusterError: its ledger is damaged.
        """
        return cls(obj, ledger_of(obj))

    @classmethod
    def missing(cls, asked: Split, at: float) -> "Book":
        """What stands for a ledger that cannot be read: that this split was found."""
        return cls({"metadata": {}}, Ledger("{}", (Entry(at, "", None, asked, "", "observed"),)))

    def of_carrier(self, carrier: Object) -> "Book":
        """The same, saying which object it is of, with the uid of that."""
        ref, uid = Ref.of(carrier), str(carrier["metadata"].get("uid") or "")
        said = target_of(self.obj)
        if said is None or (said[0] == ref and uid and not said[1]):
            return Book(with_target(self.obj, ref, uid), self.ledger)
        return self

    @property
    def version(self) -> str:
        """Another one after every entry; empty before it is written."""
        return _version(self.obj)


def read(world: KubeClient, experiment: Experiment) -> Book:
    """The ledger of an experiment.

    Raises:
        NotFoundError: the experiment was not started.
        ClusterError: its ledger is damaged.
    """
    return Book.of(_read(world, experiment))


def append(world: KubeClient, experiment: Experiment, book: Book, entry: Entry) -> Book:
    """Append to the ledger as it was read; gives it as it is then.

    What people said to the ramp since is no reason to give up.

    Raises:
        ConflictError: somebody else has appended since.
    """
    ledger = book.ledger.with_entry(entry)
    try:
        return Book(world.replace(with_ledger(book.obj, ledger)), ledger)
    except ConflictError as error:
        now = read(world, experiment)
        if not _only_said(book, now):
            raise _overtaken(now) from error
    return append(world, experiment, now, entry)


def finish(world: KubeClient, experiment: Experiment, book: Book, entry: Entry) -> None:
    """Append the outcome of the open intent, unless somebody else has done just that.

    Raises:
        ConflictError: another intent has taken its place.
    """
    try:
        append(world, experiment, book, entry)
    except ConflictError:
        added = read(world, experiment).ledger.entries[len(book.ledger.entries) :]
        if not added or (added[0].phase, added[0].after) != (entry.phase, entry.after):
            raise


def require_latest(world: KubeClient, experiment: Experiment, book: Book) -> None:
    """Make sure that nobody has appended since the ledger was read.

    Raises:
        ConflictError: somebody has.
    """
    now = _read(world, experiment)
    if _version(now) != book.version and not _only_said(book, found := Book.of(now)):
        raise _overtaken(found)


def find(world: KubeClient, experiment: Experiment) -> Object:
    """The ConfigMap with the ledger of an experiment.

    One of another kind of object that has the same name is none of ours; then there may be one
    that is called after the kind as well.

    Raises:
        NotFoundError: there is none.
    """
    target = platform(experiment.platform).target(experiment)
    own = ledger_ref(experiment)
    obj = world.get(own)
    if is_of(obj, experiment, target):
        return obj
    return world.get(other_ref(experiment, target))


def is_of(obj: Object, experiment: Experiment, target: Ref) -> bool:
    """Whether a ConfigMap is the ledger of an experiment, as far as it says."""
    if said := target_of(obj):
        return said[0] == target
    try:  # an earlier abctl wrote no target, but the platform stands in the plan
        plan = json.loads(obj["data"]["plan.json"])
        return bool(plan.get("resolved", plan).get("platform") == experiment.platform)
    except (LookupError, TypeError, ValueError, AttributeError):
        return True  # damaged, which whoever reads it says


def _read(world: KubeClient, experiment: Experiment) -> Object:
    try:
        return find(world, experiment)
    except NotFoundError as error:
        raise NotFoundError(
            f"experiment {experiment.name} was not started ({error.message})",
            "abctl local up EXPERIMENT starts it on this machine, abctl apply in a cluster, "
            "abctl adopt for what runs there already",
        ) from error


def _version(obj: Object) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version


def _overtaken(book: Book) -> ConflictError:
    last = book.ledger.entries[-1]
    return ConflictError(
        f"{last.actor} was faster: {last.phase} {last.after} ({last.why})",
        "look at `abctl status`, and shift again if it is still wanted",
    )


def _only_said(book: Book, now: Book) -> bool:
    """Whether all that came since is what people said: to the ramp, or of a doubt."""
    known, entries = book.ledger.entries, now.ledger.entries
    added = entries[len(known) :]
    same = entries[: len(known)] == known and now.ledger.plan == book.ledger.plan
    return same and bool(added) and all(e.phase in SAID for e in added)
