"""What can be seen of an experiment whose ledger cannot be read, or whose weights are no split."""

from abctl.core.change import Object
from abctl.core.split import Split
from abctl.errors import ClusterError, NotFoundError, UnreachableError
from abctl.session import ledger
from abctl.session.ledger import Book
from abctl.session.session import Session, State


def look(session: Session) -> State:
    """What there is now: what lacks is told by the state, and hides nothing else.

    Args:
        session: the experiment in its world.

    Raises:
        ClusterError: the object cannot be read, or does not say between which variants it splits.
    """
    carrier = session.world.get(session.target)
    asked, unsplit = _asked(session, carrier)
    try:
        book, unrecorded = ledger.read(session.world, session.experiment), ""
    except ClusterError as error:
        book, unrecorded = Book.missing(asked, session.clock()), error.message
    drifted = not unsplit and asked not in book.ledger.expected
    variants = session.experiment.split.names
    return State(
        book, carrier, asked, drifted, session.platform, variants, unrecorded, unsplit=unsplit
    )


def observe(session: Session) -> State:
    """The same as the session does; but the object alone where the ledger cannot be read.

    Raises:
        NotFoundError: the experiment was not started.
        ClusterError: the object cannot be read, or its weights are no split.
    """
    try:
        return session.observe()
    except (NotFoundError, UnreachableError):
        raise
    except ClusterError:
        state = look(session)
        if state.unsplit or not state.unrecorded:
            raise
        return state


def _asked(session: Session, carrier: Object) -> tuple[Split, str]:
    """The split that it asks for, or one of its variants and why it asks for none."""
    platform = session.platform
    try:
        return platform.split_of(carrier), ""
    except ClusterError as error:
        try:
            return platform.split_of(platform.mended(carrier)), error.message
        except ClusterError:
            raise error from None
