"""The experiment file as frozen data; `abctl.spec` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from abctl.core.outcome import MEASURED, Outcome, Per
from abctl.core.ramp import Ramp
from abctl.core.split import Split
from abctl.core.tables import Cap, Tables
from abctl.core.template import Templates
from abctl.stats.delta import Delta

Unit = Literal["request", "user", "cohort"]
Hash = Literal["flagd", "flagd-cbor"]
Role = Literal["primary", "guardrail", "secondary"]
Kind = Literal["proportion", "mean", "quantile", "rate", "ratio", "retention"]
Direction = Literal["increase", "decrease"]

Protocol = Literal["v1", "v2"]
PROTOCOL: Protocol = "v2"
"""By which models are asked, unless they say otherwise."""

# What each kind is counted by.
PARTS: Mapping[Kind, tuple[str, ...]] = {
    "proportion": ("n", "successes"),
    "mean": ("n", "sum", "sum_sq"),
    "quantile": ("histogram",),
    "rate": ("events", "exposure"),
    "ratio": ("sum", "over"),
    "retention": ("n", "successes"),
}
OPTIONAL_PARTS: Mapping[Kind, tuple[str, ...]] = {
    "mean": ("negative_sum",),
    "ratio": ("negative_sum",),
}
SHARES: tuple[Kind, ...] = ("proportion", "retention")
"""Kinds whose values are shares, from 0 to 1."""


@dataclass(frozen=True)
class Cohort:
    """Requests whose `header` has `value` go to one variant, or have a split of their own.

    >>> Cohort("x-cohort", "beta", variant="treatment").variant
    'treatment'
    """

    header: str
    value: str
    variant: str | None = None
    split: Split | None = None


@dataclass(frozen=True)
class Assignment:
    """How a unit gets its variant; `override` is a header that may force one (None: none may).

    >>> Assignment(unit="user", key="x-user-id", salt="iris-1").buckets
    64

    `hash` is the one that places units, on platforms that have several (None: their first).
    """

    unit: Unit
    key: str
    salt: str
    buckets: int = 64
    override: str | None = None
    cohorts: tuple[Cohort, ...] = ()
    hash: Hash | None = None


@dataclass(frozen=True)
class Model:
    """A model server's content: `image` for clusters; locally `path`, or `version`, is its folder.

    >>> Model("iris", "v2", image="registry.example.com/iris:v2").version
    'v2'

    Without an image, `uri` is where the model is stored and `format` how, for platforms that load
    models themselves; or `service` ([namespace/]name[:port]) is where it is served already.
    `sha256` is of the model's file in its local folder. `runtime` is the ServingRuntime of KServe
    that loads the model at `uri`, and `protocol` the one by which it is asked.
    """

    name: str
    version: str
    image: str | None = None
    uri: str | None = None
    format: str | None = None
    service: str | None = None
    path: str | None = None
    sha256: str | None = None
    runtime: str | None = None
    protocol: Protocol = PROTOCOL


@dataclass(frozen=True)
class Variant:
    """One of the models that are compared; the first of an experiment is the control.

    >>> Variant("treatment", Model("iris", "v2")).model.version
    'v2'
    """

    name: str
    model: Model


@dataclass(frozen=True)
class Shadow(Variant):
    """A server that gets copies of requests. Clients never see its answers; it is not compared.

    >>> Shadow("next", Model("iris", "v3"), percent=50).percent
    50

    `percent` is how many of the requests that are split are copied, as a whole number.
    """

    percent: int = 100


@dataclass(frozen=True)
class Entrance:
    """Where requests come in, on platforms that share a gateway: `namespace/name`, and a host.

    >>> Entrance(gateway="gateways/public", host="iris.example.com").host
    'iris.example.com'
    """

    gateway: str | None = None
    host: str | None = None


@dataclass(frozen=True)
class Metric:
    """What is measured, which way is better, and how much matters.

    >>> ten_percent = Delta(0.1, relative=True)
    >>> p95 = Metric("p95", "guardrail", "quantile", "latency", "decrease", margin=ten_percent)
    >>> p95.margin.absolute(control=0.5), p95.unit_seconds
    (0.05, 1.0)

    `of` is the outcome that the source's preset resolves, or `requests`, or `errors` and `latency`
    as clients got them, or `server_errors` and `server_latency`.
    `selectors` overrides the preset, by part (n, successes, ...). `unit_seconds` is the unit of the
    times that they count. An outcome is taken `per` report of it, per request that was answered, or
    per user; `maturity_seconds` is how much later than its prediction it is counted. A ratio is
    `over` another outcome. `age_seconds` is where it is counted before it is mature.

    With `window_seconds` it is of a table of events: what a unit did so long after its first
    exposure, from `after_seconds` on. `before_seconds` is how long before it the same is a
    covariate; `cap` is what a larger number of a unit counts as.
    """

    name: str
    role: Role
    kind: Kind
    of: str
    direction: Direction
    mde: Delta | None = None
    margin: Delta | None = None
    quantile: float | None = None
    selectors: Mapping[str, str] = field(default_factory=dict)
    unit_seconds: float = 1.0
    per: Per = "outcome"
    maturity_seconds: float = 0.0
    over: str | None = None
    age_seconds: float | None = None
    window_seconds: float | None = None
    before_seconds: float | None = None
    cap: Cap | None = None
    after_seconds: float = 0.0

    @property
    def of_table(self) -> bool:
        """Whether it is taken from a table of events, and not from counters."""
        return self.window_seconds is not None

    @property
    def counted(self) -> str:
        """What it is of, whoever counts it: `server_errors` are errors."""
        return self.of.removeprefix("server_") if self.of in MEASURED else self.of


@dataclass(frozen=True)
class Source:
    """Where evidence comes from: `kind` is a module of abctl.sources, `options` are its own.

    >>> Source("prometheus", {"url": "http://prometheus:9090"}).options["url"]
    'http://prometheus:9090'

    `preset` names the metrics; None: it follows from platform and models. `agreed` is whether the
    user allows the secrets that the options name to be sent to the source. `tables` are of events;
    where there is nothing else, `kind` is `table`.
    """

    kind: str
    options: Mapping[str, Any]
    preset: str | None = None
    agreed: bool = False
    tables: Tables | None = None


@dataclass(frozen=True)
class Design:
    """How the experiment is decided; durations are in seconds.

    >>> Design(alpha=0.01).max_duration_seconds / 86_400
    14.0
    >>> Design(alpha=5)
    Traceback (most recent call last):
        ...
    ValueError: alpha 5, must be in (0, 1)

    Raises:
        ValueError: alpha or power is not in (0, 1).
    """

    test: Literal["sequential", "horizon", "fixed"] = "horizon"
    alpha: float = 0.05
    power: float = 0.8
    min_duration_seconds: float = 7 * 86400.0
    max_duration_seconds: float = 14 * 86400.0
    settle_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}, must be in (0, 1)")


@dataclass(frozen=True)
class PredictionLog:
    """What model servers write of each prediction.

    >>> PredictionLog(share_bp=1000, inputs=("age",)).units
    'hash'

    Attributes:
        share_bp: of which share of the users, in basis points; one is in it wholly or not at all.
        inputs: the names of those that are written.
        units: whether users are written as a keyed hash, or as they are.
        megabytes: what the files of a server may take together.
        to: in a cluster, files of each pod, or the standard output beside its other lines.
    """

    share_bp: int = 10_000
    inputs: tuple[str, ...] = ()
    units: Literal["hash", "plain"] = "hash"
    megabytes: int = 256
    to: Literal["files", "stdout"] = "files"


@dataclass(frozen=True)
class Experiment:
    """An experiment as its file declares it.

    >>> experiment = Experiment(
    ...     "iris",
    ...     "models",
    ...     "envoy",
    ...     Assignment("user", "x-user-id", "iris-1"),
    ...     (Variant("control", Model("iris", "v1")), Variant("treatment", Model("iris", "v2"))),
    ...     Split(("control", "treatment"), (9000, 1000)),
    ...     metrics=(Metric("errors", "primary", "proportion", "errors", "decrease"),),
    ...     source=None,
    ...     design=Design(),
    ... )
    >>> experiment.control.name, str(experiment.split)
    ('control', 'control 90%, treatment 10%')

    Attributes:
        split: the split that it starts with.
        source: None where the local stack fills it in.
        entrance: None where the platform has its own.
        shadow: not a variant: it has no share and is not part of the statistics.
        outcomes: what a collector takes; empty where the servers count feedback themselves.
        templates: how the pods run.
        log: of predictions; None for none.
        access_log: whether the access log of the proxy is counted, where abctl makes that.
        ramp: how the split grows by itself; None where people shift.
        flag_file: the file with the flag that splits, where it is in one; then no cluster is asked.
        written: the spec of the file, word for word; None without a file.
        meaning: by metric, what its defaults meant when the plan was locked (see
            `Ledger.meaning_of`); empty before: they mean what they do today.
    """

    name: str
    namespace: str
    platform: str
    assignment: Assignment
    variants: tuple[Variant, ...]
    split: Split
    metrics: tuple[Metric, ...]
    source: Source | None
    design: Design
    entrance: Entrance | None = None
    shadow: Shadow | None = None
    outcomes: tuple[Outcome, ...] = ()
    templates: Templates = field(default_factory=Templates)
    log: PredictionLog | None = None
    access_log: bool = True
    ramp: Ramp | None = None
    flag_file: str | None = None
    written: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    meaning: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def served(self) -> tuple[Variant, ...]:
        """The variants and the shadow: all that have a model server."""
        return (*self.variants, self.shadow) if self.shadow else self.variants

    @property
    def by_counters(self) -> "Experiment":
        """The same with the metrics alone that counters have."""
        return replace(self, metrics=tuple(m for m in self.metrics if not m.of_table))

    @property
    def by_tables(self) -> "Experiment":
        """The same with the metrics alone that tables of events have."""
        return replace(self, metrics=tuple(m for m in self.metrics if m.of_table))

    @property
    def control(self) -> Variant:
        """The first variant."""
        return self.variants[0]
