"""Writes the ledger's entries of one change; that of a rollback goes on where it cannot."""

from collections.abc import Callable

from abctl.cluster import KubeClient
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry
from abctl.errors import ClusterError, ConflictError
from abctl.session import ledger
from abctl.session.ledger import Book

_ATTEMPTS = 5


class Scribe:
    """Writes the entries of one change, one after the other.

    A lenient one goes on where the ledger cannot be written, and notes why: the way back must not
    depend on it.

    Args:
        world: the client of the world.
        experiment: whose ledger.
        book: the ledger as it was read.
        lenient: whether to go on.
        lacking: why nothing can be written, where that is known already.
    """

    def __init__(
        self,
        world: KubeClient,
        experiment: Experiment,
        book: Book,
        *,
        lenient: bool = False,
        lacking: str = "",
    ) -> None:
        self._world, self._experiment, self.book = world, experiment, book
        self.lenient, self.lacking = lenient, lacking

    def append(self, entry: Entry) -> None:
        """Append an entry.

        Raises:
            ConflictError: somebody else has appended since.
        """
        if self.lacking:
            return
        for _ in range(_ATTEMPTS):
            try:
                try:
                    self.book = ledger.append(self._world, self._experiment, self.book, entry)
                except ConflictError:
                    if not self.lenient:
                        raise
                    self.book = ledger.read(self._world, self._experiment)
                else:
                    return
            except ClusterError as error:
                if not self.lenient:
                    raise
                self.lacking = error.message
                return
        self.lacking = "others write it all the time"

    def require_latest(self) -> None:
        """Make sure that nobody has appended since.

        Raises:
            ConflictError: somebody has.
        """
        self._unless_lacking(ledger.require_latest)

    def finish(self, entry: Entry) -> None:
        """Append the outcome of the open intent, unless somebody else has done just that.

        Raises:
            ConflictError: another intent has taken its place.
        """
        self._unless_lacking(ledger.finish, entry)

    def _unless_lacking(self, do: Callable[..., None], *entries: Entry) -> None:
        if self.lacking:
            return
        try:
            do(self._world, self._experiment, self.book, *entries)
        except ClusterError as error:
            if not self.lenient:
                raise
            self.lacking = error.message
