"""What no schema can say of a ramp: that its steps ascend, and that its rules can be followed."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from abctl.core.ramp import PROMOTE, Ramp, usual_steps
from abctl.core.split import TOTAL_BP, format_share
from abctl.spec.shape import Place, Problem, did_you_mean

if TYPE_CHECKING:
    from abctl.spec._file import Spec

_PLACE: Place = ("spec", "ramp")


def ramp_of(spec: "Spec") -> Ramp | None:
    """The ramp of a file, with its defaults."""
    if (given := spec.ramp) is None:
        return None
    return Ramp(
        steps_bp=given.steps or usual_steps(len(spec.variants) - 1),
        hold_seconds=given.hold,
        gates=given.gate,
        on_harm=given.on_harm,
        on_ship=given.on_ship,
        least_bp=given.floor,
        max_step_bp=TOTAL_BP if given.max_step is None else given.max_step,
        budget=given.budget,
    )


def of_ramp(spec: "Spec") -> Iterator[Problem]:
    """The problems of a ramp whose shape is right."""
    if spec.ramp is None or len(spec.variants) < 2:  # noqa: PLR2004 - told elsewhere
        return
    ramp = ramp_of(spec)
    assert ramp is not None, "the file has one"
    if spec.design.test == "fixed":
        message = "a ramp looks at outcomes at every poll, and test: fixed allows one look"
        yield Problem(_PLACE, message, "test: horizon; or leave ramp out, and shift by hand")
    yield from _steps(ramp, len(spec.variants) - 1)
    yield from _names(ramp)
    yield from _sizes(ramp, spec)


def _steps(ramp: Ramp, treatments: int) -> Iterator[Problem]:
    place, steps = (*_PLACE, "steps"), ramp.steps_bp
    if steps[0] == 0:
        yield Problem((*place, 0), "0%, must be above 0%", "the first step is where it begins: 1%")
    for i, (before, after) in enumerate(pairwise(steps), 1):
        if after <= before:
            message = f"{format_share(after)} after {format_share(before)}, must be larger"
            yield Problem((*place, i), message, "steps: [1%, 5%, 10%, 25%, 50%]")
    if treatments * ramp.last_bp >= TOTAL_BP:
        each = f" of each of {treatments} treatments" if treatments > 1 else ""
        message = f"{format_share(ramp.last_bp)}{each} leaves the control nothing"
        hint = f"at most {format_share(usual_steps(treatments)[-1])} is as good as it gets"
        yield Problem((*place, len(steps) - 1), message, hint)
    widest = max((b - a for a, b in pairwise(steps) if a >= ramp.floor_bp), default=0)
    if ramp.max_step_bp < widest:
        message = (
            f"{format_share(ramp.max_step_bp)}, but two steps are {format_share(widest)} apart"
        )
        yield Problem((*_PLACE, "maxStep"), message, "allow as much, or put steps between them")


def _names(ramp: Ramp) -> Iterator[Problem]:
    known = [format_share(each) for each in ramp.steps_bp]
    if ramp.least_bp is not None and ramp.least_bp not in ramp.steps_bp:
        message = f"{format_share(ramp.least_bp)} is no step"
        yield Problem((*_PLACE, "floor"), message, f"one of {', '.join(known)}")
    for i, gate in enumerate(ramp.gates):
        if gate not in (*known, PROMOTE):
            hint = f"one of {', '.join(known)}, {PROMOTE}"
            yield Problem((*_PLACE, "gate", i), f"{gate} is no step", hint)


def _sizes(ramp: Ramp, spec: "Spec") -> Iterator[Problem]:
    """Metrics of which nobody says how much worse they may be."""
    for i, metric in enumerate(spec.metrics):
        if metric.role == "primary" and metric.mde is None:
            message = "is missing, a ramp needs it: the share follows from how bad it may be"
            yield Problem(("spec", "metrics", i, "mde"), message, "mde: 2pp, or 2%")
    if ramp.budget is None:
        return
    decide = {m.name: m for m in spec.metrics if m.role != "secondary"}
    place: Place = (*_PLACE, "budget")
    if (named := decide.get(ramp.budget.metric)) is None:
        hint = did_you_mean(ramp.budget.metric, list(decide))
        yield Problem(place, f"no primary or guardrail {ramp.budget.metric!r}", hint)
    elif named.kind != "proportion":
        message = f"{named.name} is a {named.kind}, must be a proportion: bad outcomes are counted"
        yield Problem(place, message, "budget: 300 errors")
    if ramp.budget.most <= 0:
        yield Problem(place, "0, must be above 0", "budget: 300 errors")
