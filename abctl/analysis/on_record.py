"""What a reader should know of what the ledger says: notes of an analysis."""

from collections.abc import Iterator
from itertools import pairwise

from abctl.core import doubts
from abctl.core.ledger import Ledger
from abctl.core.reasons import Reason
from abctl.core.time import format_moment
from abctl.evidence.evidence import SKEW_SECONDS


def unfinished(ledger: Ledger) -> Iterator[Reason]:
    """A shift that nobody has finished, and what is known of the split meanwhile."""
    if intent := ledger.intent:
        seen = ledger.seen
        facts = {
            "actor": intent.actor,
            "split": intent.after.ratios,
            "at": format_moment(intent.at, "seconds"),
            "seen": seen.split.ratios if seen else None,
            "in_effect": bool(seen and seen.since is not None),
        }
        yield Reason("shiftNotFinished", facts)


def amended(ledger: Ledger) -> Iterator[Reason]:
    """Who last changed the locked plan, and how often that was done."""
    if amendments := ledger.amendments:
        last = amendments[-1]
        facts = {
            "actor": last.actor,
            "parts": list(last.parts),
            "at": format_moment(last.at, "seconds"),
            "why": last.why or "no reason given",
            "amendments_count": len(amendments),
        }
        yield Reason("planAmended", facts)


def accepted(ledger: Ledger) -> Iterator[Reason]:
    """Who accepted a doubt, and why."""
    for code, entry in doubts.accepted(ledger).items():
        facts = {"actor": entry.actor, "at": format_moment(entry.at, "seconds"), "why": entry.why}
        yield Reason("doubtAccepted", {"accepted": code, **facts})


def set_back(ledger: Ledger) -> Iterator[Reason]:
    """A clock was wrong where an entry says to be earlier than the one before it."""
    pairs = [(a, b) for a, b in pairwise(ledger.entries) if a.at - b.at > SKEW_SECONDS]
    for earlier, later in pairs[-1:]:
        facts = {"actor": later.actor, "earlier_actor": earlier.actor}
        moments = {"at": later.at, "earlier_at": earlier.at}
        yield Reason(
            "clockSetBack",
            facts | {name: format_moment(at, "seconds") for name, at in moments.items()},
        )


def ended(end: float | None) -> Iterator[Reason]:
    """That the one look was taken, at this moment (unix seconds); None: it was not."""
    if end is not None:
        yield Reason("oneLookTaken", {"at": format_moment(end, "seconds")})
