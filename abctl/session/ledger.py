"""The ledger in the world: read it, append to it; whoever comes second finds out."""

from dataclasses import dataclass

from abctl.cluster import KubeClient
from abctl.core.change import Object
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Ledger, ledger_ref
from abctl.errors import ConflictError, NotFoundError
from abctl.forms.ledger import ledger_of, with_ledger


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

    Raises:
        ConflictError: somebody else has appended since.
    """
    ledger = book.ledger.with_entry(entry)
    try:
        return Book(world.replace(with_ledger(book.obj, ledger)), ledger)
    except ConflictError as error:
        raise _overtaken(read(world, experiment)) from error


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
    if _version(now) != book.version:
        raise _overtaken(Book.of(now))


def _read(world: KubeClient, experiment: Experiment) -> Object:
    try:
        return world.get(ledger_ref(experiment))
    except NotFoundError as error:
        raise NotFoundError(
            f"experiment {experiment.name} was not started ({error.message})",
            "abctl local up EXPERIMENT starts it on this machine, abctl apply in a cluster",
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
