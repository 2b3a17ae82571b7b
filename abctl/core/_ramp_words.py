"""The words of what a ramp does next, and why, by code (pure)."""

from collections.abc import Callable, Mapping
from typing import Any

from abctl.core import figures

Facts = Mapping[str, Any]


def _bound(f: Facts) -> str:
    worst = f["worst_ratio"]
    allowed = figures.shares({f["treatment"]: f["share_ratio"]})
    if worst <= 1.0:
        return f"{allowed}: {f['metric']} is at most as bad as allowed"
    return f"{allowed}: {f['metric']} may still be {worst:.3g} times as bad as allowed"


def _by(f: Facts) -> str:
    return f"{f['actor']} at {f['at']}" + (f": {f['why']}" if f["why"] else "")


def _waits(f: Facts) -> str:
    if (left := f["left_seconds"]) > 0:
        return f"this step counts for {figures.duration(left)} more"
    return f"{f['polls_count']} of {f['needed_count']} polls of this step are over"


OF_RAMPS: Mapping[str, str | tuple[str, Callable[[Facts], str]]] = {
    "rampStarts": "the ramp begins at {split:split}",
    "rampBound": ("treatment metric worst_ratio share_ratio", _bound),
    "rampUnbounded": (
        "{treatment}: how bad {metric} may be is not known yet, so its share does not grow"
    ),
    "rampWaits": ("left_seconds polls_count needed_count", _waits),
    "rampGate": "{gate} waits for a person: abctl approve EXPERIMENT",
    "rampPaused": ("actor at why", lambda f: f"paused by {_by(f)}"),
    "rampAborted": ("actor at why", lambda f: f"aborted by {_by(f)}"),
    "rampAtLast": "at the last step: the verdict decides",
    "rampUnfinished": "finishes the shift of {actor} to {split:split}",
    "rampInvalid": "the evidence cannot be trusted, so no share grows",
    "rampBlind": "there is no evidence, so no share grows: {detail}",
    "rampHarm": "onHarm: pause, so a person decides: abctl abort, abctl rollback",
    "rampShips": "{treatment} may ship; onShip: pause, so a person decides: abctl promote",
    "rampBudget": (
        "{metric}: at the least share the next step may bring the extra bad outcomes of "
        "{treatment} to {most_count:,.0f} of a budget of {budget_count:,.0f}"
    ),
    "rampPromoted": "everything goes to {treatment}",
    "rampOver": "everything goes to the control",
}
