"""The experiment file as frozen data; `abctl.spec` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from abctl.core.split import Split
from abctl.stats.delta import Delta

Unit = Literal["request", "user", "cohort"]
Role = Literal["primary", "guardrail", "secondary"]
Kind = Literal["proportion", "mean", "quantile", "rate"]
Direction = Literal["increase", "decrease"]

# What each kind is counted by.
PARTS: Mapping[Kind, tuple[str, ...]] = {
    "proportion": ("n", "successes"),
    "mean": ("n", "sum", "sum_sq"),
    "quantile": ("histogram",),
    "rate": ("events", "exposure"),
}
OPTIONAL_PARTS: Mapping[Kind, tuple[str, ...]] = {"mean": ("negative_sum",)}


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
    """

    unit: Unit
    key: str
    salt: str
    buckets: int = 64
    override: str | None = None
    cohorts: tuple[Cohort, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model server's content: `image` for clusters, `version` names its folder locally.

    >>> Model("iris", "v2", image="registry.example.com/iris:v2").version
    'v2'

    Without an image, `uri` is where the model is stored and `format` how, for platforms that load
    models themselves; or `service` ([namespace/]name[:port]) is where it is served already.
    """

    name: str
    version: str
    image: str | None = None
    uri: str | None = None
    format: str | None = None
    service: str | None = None


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

    `of` is the outcome (or `errors`, `latency`, `requests`) that the source's preset resolves.
    `selectors` overrides the preset, by part (n, successes, ...). `unit_seconds` is the unit of the
    times that they count.
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


@dataclass(frozen=True)
class Source:
    """Where evidence comes from: `kind` is a module of abctl.sources, `options` are its own.

    >>> Source("prometheus", {"url": "http://prometheus:9090"}).options["url"]
    'http://prometheus:9090'

    `preset` names the metrics; None: it follows from platform and models. `agreed` is whether the
    user allows the secrets that the options name to be sent to the source.
    """

    kind: str
    options: Mapping[str, Any]
    preset: str | None = None
    agreed: bool = False


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

    test: Literal["sequential", "fixed"] = "sequential"
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
        written: the spec of the file, word for word; None without a file.
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
    written: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def served(self) -> tuple[Variant, ...]:
        """The variants and the shadow: all that have a model server."""
        return (*self.variants, self.shadow) if self.shadow else self.variants

    @property
    def control(self) -> Variant:
        """The first variant."""
        return self.variants[0]


# These the servers count by themselves; everything else comes as feedback.
_MEASURED = {"errors", "latency", "requests"}


def environment(experiment: Experiment, variant: str) -> dict[str, str]:
    """The environment variables of a variant's server."""
    rules = experiment.assignment
    outcomes = dict.fromkeys(m.of for m in experiment.metrics if m.of not in _MEASURED)
    return {
        "AB_VARIANT": variant,
        # Without a unit there is no salt, and no bucket that it could decide.
        "AB_SALT": rules.salt or experiment.name,
        "AB_BUCKETS": str(rules.buckets),
        "AB_KEY": rules.key,
        "AB_OUTCOMES": ",".join(outcomes),
    }
