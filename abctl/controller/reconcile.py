"""One look at one experiment: bring it into the cluster, then the turn that `abctl run` takes.

Nothing waits here for longer than the session's timeout: what is not ready then is looked at again.
"""

from dataclasses import dataclass, replace

from abctl.cluster.kube import ClusterClient
from abctl.controller.permitted import Allowed, require_permitted
from abctl.core.ledger import Ledger
from abctl.core.next_action import Said
from abctl.core.split import Split
from abctl.errors import AbctlError, NotReadyError, SpecError
from abctl.session.apply import apply, known_ledger
from abctl.session.declared import Declared
from abctl.session.open import in_cluster
from abctl.session.run import Turn, look
from abctl.session.session import Session

ACTOR = "abctl-controller"
_WHY = "declared by experiment/{}"


@dataclass(frozen=True)
class Found:
    """What one look found, and what was done.

    Attributes:
        at: when (unix seconds).
        began: when its plan was locked (unix seconds); None where it was not.
        turn: that was taken; None where none could be.
        failure: why the cluster is not as the spec says; None where it is.
        split: that is in effect now.
        last: what the ledger's last change of the split was for.
        aborted: whether somebody has ended the ramp.
    """

    at: float
    began: float | None = None
    turn: Turn | None = None
    failure: AbctlError | None = None
    split: Split | None = None
    last: str = ""
    aborted: bool = False

    @property
    def refused(self) -> bool:
        """Whether the object itself is wrong, which only its author can change."""
        return isinstance(self.failure, SpecError)

    @property
    def error(self) -> AbctlError | None:
        """The first thing that did not go as it should."""
        return self.failure or (self.turn.failure if self.turn else None)


def open_declared(declared: Declared, client: ClusterClient, allowed: Allowed) -> Session:
    """The session of an object.

    Args:
        declared: the object.
        client: to the cluster.
        allowed: what it may name.

    Raises:
        SpecError: it is wrong, or names what it may not.
    """
    experiment = declared.experiment()
    require_permitted(experiment, allowed)
    word = f"abx/{experiment.name}"
    return replace(in_cluster(client, experiment), word=word, actor=ACTOR)


def reconcile(session: Session, *, again: bool) -> Found:
    """Begin it, or look once and do what follows; then apply it where that is due.

    The look goes first: the way back waits for nothing.

    Args:
        session: of the object.
        again: apply it though it has begun: its spec is new, or was not done yet.

    Raises:
        AbctlError: the ledger cannot be read; nothing was done.
    """
    known = known_ledger(session)
    if known is None or known.desired is None:
        failure = _applied(session)
        known = known_ledger(session)
        if known is None or known.desired is None:
            failure = failure or NotReadyError("the split is not in effect yet", "it looks again")
            began = known.entries[0].at if known else None
            return Found(session.clock(), began, failure=failure)
        again = failure is not None
    found = look(session)
    failure = _applied(session) if again else None
    after = known_ledger(session) or known
    split = after.present or after.wanted
    aborted = Said.of(after).aborted is not None
    return Found(found.at, known.entries[0].at, found, failure, split, _last(after), aborted)


def _applied(session: Session) -> AbctlError | None:
    """Why its objects are not as it says; None where they are."""
    try:
        apply(session, why=_WHY.format(session.experiment.name))
    except AbctlError as error:
        return error
    return None


def _last(known: Ledger) -> str:
    return next((each.why for each in reversed(known.moves) if each.why), "")
