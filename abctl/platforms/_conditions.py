"""What controllers report as conditions, and for which generation of the object."""

from collections.abc import Iterable, Mapping
from typing import Any

from abctl.core.change import Object

UNSEEN = "no controller has reported on it yet"

Condition = Mapping[str, Any]


def current(obj: Object, observed: int | None) -> bool:
    """Whether a report on some generation is about the object as it is now."""
    generation: int | None = obj["metadata"].get("generation")
    return observed is not None and generation is not None and observed >= generation


def unmet(conditions: Iterable[Condition], wanted: Iterable[str]) -> str | None:
    """The first of the wanted conditions that is not true, with its reason; None if all are."""
    by_type = {condition["type"]: condition for condition in conditions}
    for name in wanted:
        found = by_type.get(name)
        if found is None:
            return f"{name} is not reported"
        if found.get("status") != "True":
            said = ": ".join(filter(None, (found.get("reason"), found.get("message"))))
            return f"{name} is {found.get('status')}{f' ({said})' if said else ''}"
    return None


def refusal(obj: Object, *wanted: str) -> str | None:
    """Why an object with Knative's form of status (one list of conditions) is not in effect."""
    status = obj.get("status") or {}
    conditions = status.get("conditions")
    if not conditions:
        return UNSEEN
    observed = status.get("observedGeneration")
    if observed is not None and not current(obj, observed):
        return f"the controller has seen generation {observed}, not yet this one"
    return unmet(conditions, wanted)


def confirmed(obj: Object, *wanted: str) -> bool:
    """Whether the status says of this very generation that all is well."""
    observed = (obj.get("status") or {}).get("observedGeneration")
    return current(obj, observed) and refusal(obj, *wanted) is None
