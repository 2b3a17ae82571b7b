"""Apply what carries the split while others may shift it."""

from abctl.core.change import Object
from abctl.core.split import Split
from abctl.errors import ConflictError, NotFoundError
from abctl.session import ledger
from abctl.session.session import Session

_ATTEMPTS = 5


def apply_carrier(session: Session, obj: Object, *, force: bool) -> Split:
    """Apply it with the split that the ledger wants at that moment.

    Nobody's shift is undone: the server takes the object only as it was when the ledger was read.

    Returns:
        That split.

    Raises:
        ConflictError: somebody else manages a field of it, or changes it again and again.
    """
    for _ in range(_ATTEMPTS):
        version = _version(session)
        split = ledger.read(session.world, session.experiment).ledger.wanted
        wanted = dict(session.platform.with_split(obj, split))
        if version is not None:
            wanted["metadata"] = {**wanted["metadata"], "resourceVersion": version}
        try:
            session.world.apply(wanted, force=force)
        except ConflictError:
            if _version(session) == version:  # then it is about fields
                raise
        else:
            return split
    raise ConflictError(
        f"{session.target} is changed again and again while it is applied",
        "`abctl status` shows by whom; apply it again when that is over",
    )


def _version(session: Session) -> str | None:
    try:
        version: str = session.world.get(session.target)["metadata"]["resourceVersion"]
    except NotFoundError:
        return None
    return version
