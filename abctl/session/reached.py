"""What somebody waits for: a split that is in effect, or the end of an experiment (pure)."""

from abctl.core.split import TOTAL_BP
from abctl.session.status import Status


def in_effect(found: Status) -> bool:
    """Whether the split that is wanted is the one that is in effect, as far as that is known."""
    settled = found.desired is not None and found.desired == found.asked
    taken = found.programmed in (None, found.asked) and found.refusal is None
    return settled and taken and found.intent is None and not found.drifted


def winner(found: Status) -> str | None:
    """The variant that gets everything in the end; None while it is not over.

    Before any treatment had a share, an experiment that begins with the control alone has not
    ended with it.
    """
    if found.desired is None or not in_effect(found):
        return None
    name = next((n for n in found.desired.names if found.desired[n] == TOTAL_BP), None)
    control = found.desired.control
    shared = any(any(epoch.split.shares_bp[1:]) for epoch in found.epochs)
    return None if name == control and not shared else name
