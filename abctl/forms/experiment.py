"""An experiment with every default filled in, as plans and saved evidence hold it.

Each form is as it was written by the first abctl that wrote it; whatever came later has a default.
"""

from collections.abc import Mapping
from typing import Literal

from abctl.core import experiment as core
from abctl.core.outcome import OutcomeKind, Per
from abctl.core.ramp import OnHarm, OnShip
from abctl.forms import Form


class Split(Form):
    """Shares of the variants in basis points, in order."""

    names: tuple[str, ...]
    shares_bp: tuple[int, ...]


class Size(Form):
    """A size of effect; relative to the control, or in the unit of the metric."""

    value: float
    relative: bool


class Cohort(Form):
    """A rule for requests with this header value."""

    header: str
    value: str
    variant: str | None
    split: Split | None


class Assignment(Form, omit_defaults=True):
    """How a unit gets its variant; keys that came later are written only where they are used."""

    unit: core.Unit
    key: str
    salt: str
    buckets: int
    override: str | None
    cohorts: tuple[Cohort, ...]
    hash: core.Hash | None = None


class Model(Form, omit_defaults=True):
    """What a model server serves; keys that came later are written only where they are used."""

    name: str
    version: str
    image: str | None
    uri: str | None
    format: str | None
    service: str | None
    path: str | None = None
    sha256: str | None = None
    runtime: str | None = None
    protocol: core.Protocol = core.PROTOCOL


class Variant(Form):
    """One of the things compared."""

    name: str
    model: Model


class Shadow(Variant):
    """What gets copies of requests."""

    percent: int


class Entrance(Form):
    """Where requests come in."""

    gateway: str | None
    host: str | None


class Cap(Form):
    """What a larger number of a unit counts as."""

    at: float
    of_values: bool


class Metric(Form, omit_defaults=True):
    """What is measured."""

    name: str
    role: core.Role
    kind: core.Kind
    of: str
    direction: core.Direction
    mde: Size | None
    margin: Size | None
    quantile: float | None
    selectors: Mapping[str, str]
    unit_seconds: float
    per: Per = "outcome"
    maturity_seconds: float = 0.0
    over: str | None = None
    age_seconds: float | None = None
    window_seconds: float | None = None
    before_seconds: float | None = None
    cap: Cap | None = None
    after_seconds: float = 0.0


class Outcome(Form, omit_defaults=True):
    """What may be reported."""

    name: str
    kind: OutcomeKind
    times: Literal["once", "many"]
    maturity_seconds: float
    window_seconds: float | None
    cap: float | None = None
    early_seconds: tuple[float, ...] = ()
    after_seconds: float | None = None


class Design(Form):
    """How it is decided."""

    test: Literal["sequential", "horizon", "fixed"]
    alpha: float
    power: float
    min_duration_seconds: float
    max_duration_seconds: float
    settle_seconds: float


class Budget(Form):
    """How many more bad outcomes it may cause."""

    metric: str
    most: float


class Ramp(Form):
    """How the split grows by itself."""

    steps_bp: tuple[int, ...]
    hold_seconds: float
    gates: tuple[str, ...]
    on_harm: OnHarm
    on_ship: OnShip
    least_bp: int | None
    max_step_bp: int
    budget: Budget | None


class Locked(Form, omit_defaults=True):
    """What must stay as it is from the first request on."""

    name: str
    namespace: str
    platform: str
    assignment: Assignment
    variants: tuple[Variant, ...]
    metrics: tuple[Metric, ...]
    design: Design
    entrance: Entrance | None
    shadow: Shadow | None
    outcomes: tuple[Outcome, ...] = ()
    access_log: bool = True
    ramp: Ramp | None = None


class Experiment(Locked, kw_only=True):
    """All of it but its source, which may be nobody else's business."""

    split: Split
    source: None = None
