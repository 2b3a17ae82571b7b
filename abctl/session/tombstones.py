"""What remains of experiments that were deleted: their salts are not used a second time.

Users keep the variant that a salt gives them, and with it what the earlier experiment did to them.
"""

from abctl.core.ledger import Ledger
from abctl.core.time import format_moment
from abctl.errors import ClusterError, ConflictError
from abctl.forms.tombstone import Tombstone, object_of, tombstone
from abctl.session.listing import ended
from abctl.session.session import Session


def bury(session: Session, ledger: Ledger, verdict: str) -> None:
    """Leave a tombstone of a ledger that is about to be deleted."""
    experiment = session.experiment
    made = tombstone(experiment.name, ledger, session.clock(), verdict)
    try:
        session.world.create(object_of(made, experiment.namespace))
    except ConflictError:
        return  # the same deletion was interrupted
    except ClusterError as error:
        session.report(f"warning: nothing remains of its salt and dates: {error.message}")


def buried(session: Session) -> list[Tombstone]:
    """Of the experiments that ended in its namespace.

    Raises:
        ClusterError: they may not be listed.
    """
    return [each for _, each in ended(session.world, session.experiment.namespace)]


def require_fresh(session: Session) -> None:
    """Refuse the salt of another experiment that ended, and tell that of an earlier one.

    Raises:
        ConflictError: its users would have the variants that they had there.
    """
    rules, name = session.experiment.assignment, session.experiment.name
    if rules.unit == "request":
        return
    try:
        found = [t for t in buried(session) if (t.salt, t.key) == (rules.salt, rules.key)]
    except ClusterError as error:
        session.report(f"earlier uses of the salt were not looked for: {error.message}")
        return
    for each in found:
        used = (
            f"the salt {rules.salt!r} was used by {each.name}, from "
            f"{format_moment(each.started, 'seconds')} to {format_moment(each.ended, 'seconds')}"
        )
        if each.name != name:
            raise ConflictError(
                f"{used}: its users would get the same variants again",
                "give this experiment a salt of its own (assignment.salt)",
            )
        session.report(f"warning: {used}: users get the variants that they had; use another salt")
