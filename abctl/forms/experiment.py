"""An experiment with every default filled in, as plans and saved evidence hold it.

Each form is as it was written by the first abctl that wrote it; whatever came later has a default.
"""

from collections.abc import Mapping
from typing import Literal

from abctl.core import experiment as core
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


class Assignment(Form):
    """How a unit gets its variant."""

    unit: core.Unit
    key: str
    salt: str
    buckets: int
    override: str | None
    cohorts: tuple[Cohort, ...]


class Model(Form):
    """What a model server serves."""

    name: str
    version: str
    image: str | None
    uri: str | None
    format: str | None
    service: str | None


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


class Metric(Form):
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


class Design(Form):
    """How it is decided."""

    test: Literal["sequential", "fixed"]
    alpha: float
    power: float
    min_duration_seconds: float
    max_duration_seconds: float
    settle_seconds: float


class Locked(Form):
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


class Experiment(Locked):
    """All of it but its source, which may be nobody else's business."""

    split: Split
    source: None = None
