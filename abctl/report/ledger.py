"""The ledger: for people a line or a row of an entry, for machines its document."""

from typing import Any

from abctl.core.ledger import WORDS, Entry
from abctl.core.time import format_moment
from abctl.foreign import in_one_line


def entry_document(entry: Entry) -> dict[str, Any]:
    """An entry as `abctl log -o json` prints it."""
    return {
        "at": format_moment(entry.at),
        "since": None if entry.since is None else format_moment(entry.since),
        "actor": entry.actor,
        "user": entry.user or None,
        "phase": entry.phase,
        "from": entry.before and entry.before.ratios,
        "to": entry.after.ratios,
        "parts": [*entry.parts],
        "why": entry.why,
    }


def entry_cells(entry: Entry) -> tuple[str, str, str, str, str]:
    """When, who, what was done, to what, and why."""
    who = entry.actor if entry.user in ("", entry.actor) else f"{entry.actor} ({entry.user})"
    what = f"the plan: {', '.join(entry.parts)}" if entry.parts else str(entry.after)
    if entry.phase in WORDS:
        what = " ".join(("the ramp", *entry.parts))
    if entry.phase == "accepted":
        what = ", ".join(entry.parts)
    return format_moment(entry.at, "seconds"), who, entry.phase, what, entry.why


def entry_line(entry: Entry) -> str:
    """An entry as `abctl log` prints it."""
    *said, why = entry_cells(entry)
    return in_one_line("  ".join(said) + (f": {why}" if why else ""))
