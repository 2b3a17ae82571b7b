"""A turn of a ramp: as a line for people, and as a document for programs."""

from typing import Any

from abctl.core.analysis import Analysis
from abctl.core.time import format_moment
from abctl.session.run import Turn


def line(turn: Turn) -> str:
    """When, the split, the verdict, what follows and why.

    Args:
        turn: what one look found.
    """
    when, action = format_moment(turn.at, "seconds"), turn.action
    what: str = action.kind if action.split is None else f"{action.kind} to {action.split.short}"
    why = "; ".join(reason.text for reason in action.reasons)
    then = f"; not before {format_moment(action.until, 'seconds')}" if action.until else ""
    failed = f"; not done: {turn.failure.message}" if turn.failure else ""
    return f"{when}  {turn.split.short}  {turn.verdict}  {what}: {why}{then}{failed}"


def document(turn: Turn) -> dict[str, Any]:
    """The same and how bad each metric may be, as plain data; times in ISO 8601."""
    action = turn.action
    reasons = [reason.document() for reason in action.reasons]
    return {
        "experiment": turn.experiment,
        "at": format_moment(turn.at),
        "split": turn.split.ratios,
        "verdict": turn.verdict,
        "action": action.kind,
        "to": action.split.ratios if action.split else None,
        "until": format_moment(action.until) if action.until else None,
        "reasons": [reason.text for reason in action.reasons],
        "reasonCodes": reasons,
        "worst": _worst(turn.analysis) if turn.analysis else {},
        "failure": turn.failure.message if turn.failure else None,
    }


def news(one: Turn, two: Turn) -> bool:
    """Whether people want to be told: something is done, or is not done for another reason."""
    return _gist(one) != _gist(two)


def _gist(turn: Turn) -> tuple[Any, ...]:
    codes = [reason.code for reason in turn.action.reasons]
    failed = turn.failure and turn.failure.message
    return turn.split, turn.verdict, turn.action.kind, turn.action.split, codes, failed


def _worst(found: Analysis) -> dict[str, dict[str, float | None]]:
    """How many times as bad as allowed each metric may be, by treatment; None: nobody knows."""
    told: dict[str, dict[str, float | None]] = {}
    for metric in found.metrics:
        for each in metric.comparisons:
            if each.worst is not None:
                told.setdefault(each.treatment, {})[metric.name] = each.worst.ratio
    return told
