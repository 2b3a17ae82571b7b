"""The status of an experiment: what a look found, as kubectl, Argo CD and Flux read it (pure).

`Ready` says that the controller does what the spec says; that the experiment is over is a condition
of its own. What was true before keeps the time at which it became so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from abctl.controller.reconcile import Found
from abctl.core.reasons import Reason
from abctl.core.split import format_share
from abctl.core.time import format_moment
from abctl.errors import FILE_OF_USER, AbctlError, ConflictError, NotReadyError
from abctl.session.declared import Declared

Truth = Literal["True", "False", "Unknown"]
_LONGEST = 1000
# Reasons of Ready that say that objects are not as the spec says; a look applies them again.
NOT_APPLIED = ("Starting", "NotStarted", "NotApplied")
# What is known of an experiment stays in its status when a look finds nothing.
_KEPT = ("startedAt", "split", "shares", "verdict")
# What waits for a person: the phase, and the reason of the condition.
_WAITS = {
    "rampPaused": ("Paused", "Paused"),
    "rampGate": ("Waiting", "GateWaits"),
    "rampHarm": ("Waiting", "HarmWaits"),
    "rampShips": ("Waiting", "ShipWaits"),
}


@dataclass(frozen=True)
class Condition:
    """A condition of an object, as Kubernetes has them.

    >>> Condition("Ready", "True", "Driven", "").type
    'Ready'
    """

    type: str
    status: Truth
    reason: str
    message: str


def status_of(declared: Declared, found: Found) -> dict[str, Any]:
    """The whole status of an object.

    Args:
        declared: as it was looked at, with its status until now.
        found: by the look.
    """
    reasons, action = _reasons(found), found.turn and found.turn.action
    gate = next((r.facts["gate"] for r in reasons if r.code == "rampGate"), None)
    told: dict[str, Any] = {
        "observedGeneration": declared.generation,
        "phase": phase(found),
        "reason": _named(_words(found), declared),
        "codes": [reason.code for reason in reasons],
        "lastLookAt": format_moment(found.at, "seconds"),
        "conditions": [_dated(each, found.at, declared) for each in conditions(found)],
    }
    if found.turn:
        told["verdict"] = found.turn.verdict
    if found.split:
        told["split"] = found.split.short
        shares = zip(found.split.names, found.split.shares_bp, strict=True)
        told["shares"] = {name: format_share(share) for name, share in shares}
    if found.began is not None:
        told["startedAt"] = format_moment(found.began, "seconds")
    if gate:
        told["gate"] = gate
    if action and action.until:
        told["until"] = format_moment(action.until, "seconds")
    before = declared.status
    if found.turn is None and before.get("startedAt"):  # which also locks the plan
        told = {key: before[key] for key in _KEPT if key in before} | told
        told["phase"] = told["phase"] if found.refused else before["phase"]
    return told


def phase(found: Found) -> str:
    """Where the experiment is, in one word."""
    if found.refused:
        return "Refused"
    if found.turn is None:
        return "Starting"
    if found.turn.action.done:
        return "Completed"
    waits = _waits(found)
    return waits[0] if waits else "Progressing"


def conditions(found: Found) -> Iterator[Condition]:
    """All of them, in the order of the documented list."""
    where, words, error = phase(found), _words(found), found.error
    going = where in ("Starting", "Progressing")
    yield Condition("Ready", _truth(error is None), _ready(found), error.message if error else "")
    yield Condition("Progressing", _truth(going), where, words)
    waits = _waits(found)
    yield Condition(
        "Paused", _truth(waits is not None), waits[1] if waits else "Goes", words if waits else ""
    )
    done = where == "Completed"
    yield Condition(
        "Completed", _truth(done), _end(found) if done else "Runs", found.last if done else ""
    )
    yield _trusted(found)
    conflict = error if isinstance(error, ConflictError) else None
    yield Condition(
        "Conflicted",
        _truth(conflict is not None),
        "Conflict" if conflict else "Alone",
        conflict.message if conflict else "",
    )
    refused = error if found.refused else None
    yield Condition(
        "Stalled",
        _truth(refused is not None),
        "Refused" if refused else "Goes",
        _with_hint(refused) if refused else "",
    )


def _truth(holds: bool) -> Truth:
    return "True" if holds else "False"


def _ready(found: Found) -> str:
    if found.refused:
        return "Refused"
    if found.turn is None:
        return "Starting" if isinstance(found.failure, NotReadyError) else "NotStarted"
    if found.failure is not None:
        return "NotApplied"
    if found.error is None:
        return "Driven"
    return "Conflict" if isinstance(found.error, ConflictError) else "NotDone"


def _trusted(found: Found) -> Condition:
    if found.turn is None or found.turn.analysis is None:
        blind = found.turn and found.turn.blind
        return Condition("Trusted", "Unknown", "NoEvidence", blind.message if blind else "")
    verdict = found.turn.analysis.verdict
    if verdict.kind != "invalid":
        return Condition("Trusted", "True", "Trusted", "")
    first = verdict.reasons[0].code if verdict.reasons else "Invalid"
    return Condition("Trusted", "False", first, "; ".join(r.text for r in verdict.reasons))


def _waits(found: Found) -> tuple[str, str] | None:
    return next((_WAITS[r.code] for r in _reasons(found) if r.code in _WAITS), None)


def _end(found: Found) -> str:
    if any(reason.code == "rampPromoted" for reason in _reasons(found)):
        return "Shipped"
    return "Aborted" if found.aborted else "Stopped"


def _reasons(found: Found) -> tuple[Reason, ...]:
    return found.turn.action.reasons if found.turn else ()


def _words(found: Found) -> str:
    """Why it is where it is; what went wrong goes first."""
    told = [_with_hint(found.error)] if found.error else []
    return "; ".join([*told, *(reason.text for reason in _reasons(found))])


def _named(words: str, declared: Declared) -> str:
    """With the object in the place of the file that hints name."""
    ref = declared.ref
    return words.replace(FILE_OF_USER, f"abx/{ref.name} -n {ref.namespace}")[:_LONGEST]


def _with_hint(error: AbctlError) -> str:
    return f"{error.message} ({error.hint})"


def _dated(condition: Condition, now: float, declared: Declared) -> dict[str, Any]:
    known = {each["type"]: each for each in declared.status.get("conditions") or ()}
    same = known.get(condition.type, {})
    since = same.get("lastTransitionTime") if same.get("status") == condition.status else None
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": _named(condition.message, declared),
        "lastTransitionTime": since or format_moment(now, "seconds"),
        "observedGeneration": declared.generation,
    }
