"""The ramp of an experiment file as it is written."""

import re
from typing import Annotated, Any

from abctl.core.number import parse_number
from abctl.core.ramp import PROMOTE, Budget, OnHarm, OnShip
from abctl.core.split import format_share, parse_share_bp
from abctl.spec.fields import Duration, Form, Part, Share, UnfitError

_GATE, _BUDGET = (
    r"^\s*(promote|\d+(\.\d{1,2})?\s*%)\s*$",
    r"^\s*\d+(\.\d+)?\s+[A-Za-z][A-Za-z0-9_.-]*\s*$",
)


def _gate(written: str) -> str:
    return PROMOTE if written.strip() == PROMOTE else format_share(parse_share_bp(written))


def _budget(written: str) -> Budget:
    if not re.match(_BUDGET, written, re.ASCII):
        raise UnfitError(f"{written!r}, must be a number and a metric: 300 errors")
    number, metric = written.split()
    return Budget(metric, parse_number(number))


def _text(pattern: str, *examples: str) -> dict[str, Any]:
    return {"examples": [*examples], "pattern": pattern, "type": "string"}


class Ramp(Part):
    """How the split grows by itself, driven by `abctl run`."""

    steps: tuple[Share, ...] = ()
    """Shares that a treatment may have, ascending; else: 1%, 5%, 10%, 25%, up to equal shares."""
    hold: Duration = 3600.0
    """How long each step counts at least before the next one."""
    gate: tuple[Annotated[str, Form(_gate, _text(_GATE, "25%", PROMOTE))], ...] = ()
    """Steps that a person approves first (abctl approve), and promote: before everything goes."""
    on_harm: OnHarm = "rollback"
    """Where harm is proven or time is over: back to the control, or a person decides."""
    on_ship: OnShip = "pause"
    """Where a treatment may ship: everything goes to it, or a person decides."""
    floor: Share | None = None
    """The share that no bound of harm lowers further, one of the steps; else the first."""
    max_step: Share | None = None
    """How much the share may grow at once; else it may skip steps."""
    budget: Annotated[Budget, Form(_budget, _text(_BUDGET, "300 errors"))] | None = None
    """How many more bad outcomes it may cause: 300 errors, of a primary or guardrail of shares."""
