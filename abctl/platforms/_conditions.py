"""What controllers report as conditions."""

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
            # Envoy Gateway says the same once for each rule.
            lines = dict.fromkeys((found.get("message") or "").splitlines())
            said = ": ".join(filter(None, (found.get("reason"), " ".join(lines))))
            return f"{name} is {found.get('status')}{f' ({said})' if said else ''}"
    return None


def complaint(obj: Object, *wanted: str) -> str | None:
    """What a status with one list of conditions complains of.

    Of no generation in particular: such a status is of what a controller made of the object, and
    its observedGeneration, where there is one, counts the changes of that (KServe), not of this.
    """
    conditions = (obj.get("status") or {}).get("conditions")
    return unmet(conditions, wanted) if conditions else UNSEEN
