"""Reads an experiment file: the shape of the file, and from it the `Experiment`.

The classes are the file as it is written (camelCase); their docstrings are the descriptions in
the JSON Schema. What no schema can say is checked in `_checks`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from abctl.core import experiment as core
from abctl.core.delta import parse_delta
from abctl.core.duration import parse_duration_seconds
from abctl.core.split import parse_share_bp
from abctl.errors import SpecError
from abctl.services import _checks, _document
from abctl.stats.estimate import Delta

T = TypeVar("T")


def _written(parse: Callable[[str], T], pattern: str, *examples: str, number: bool = False) -> Any:
    """How a value that is written as text is read, and what editors are told of it."""

    def read(text: object) -> T:
        try:
            return parse(str(text))
        except SpecError as error:
            context = {"message": error.message, "hint": error.hint}
            raise PydanticCustomError("spec", "{message}", context) from None

    schema: dict[str, Any] = {"type": "string", "pattern": pattern, "examples": list(examples)}
    if number:
        schema |= {"type": ["string", "number"], "minimum": 0, "maximum": 100}
    return BeforeValidator(read), WithJsonSchema(schema)


_NUMBER = r"^\s*\d+(\.\d+)?\s*"
Share = Annotated[
    int, *_written(parse_share_bp, r"^\s*\d+(\.\d{1,2})?\s*%?\s*$", "70%", "12.5%", number=True)
]
Size = Annotated[Delta, *_written(parse_delta, _NUMBER + "(pp|%|abs)$", "2pp", "2%", "0.5abs")]
Duration = Annotated[
    float, *_written(parse_duration_seconds, _NUMBER + "[smhd]$", "90s", "1m", "2h", "7d")
]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Salt = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=63)]
Header = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", to_lower=True, max_length=255)
]
Text = Annotated[str, StringConstraints(min_length=1)]


class Part(BaseModel):
    """A mapping of the file: camelCase, no other keys than its own."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


class Metadata(Part):
    """What the experiment is called, and where it runs."""

    name: Label
    """The name of the experiment: lower-case letters, digits and dashes."""
    namespace: Label = "default"
    """The Kubernetes namespace of the objects that carry the split."""


class Cohort(Part):
    """Requests with this header value go to one variant, or have a split of their own."""

    header: Header
    """The name of the request header."""
    value: Text
    """The exact value of the header."""
    variant: Label | None = None
    """The variant that they all go to."""
    split: Text | None = Field(default=None, examples=["50/50", "treatment=30%"])
    """Their own split, in the order of the variants (50/50), or by treatment (treatment=30%)."""


class Assignment(Part):
    """How a unit gets its variant."""

    unit: core.Unit
    """What is assigned: each request by itself, a user, or a cohort (a tenant, a session, ...)."""
    key: Header | None = None
    """The request header that holds the id of the unit; needed unless the unit is the request."""
    salt: Salt | None = None
    """Mixed into the hash: another salt assigns independently. Needed unless unit is request."""
    buckets: int = Field(default=64, ge=8, le=1024)
    """How many groups of units the variance is taken between."""
    override: Header | None = None
    """A request header whose value forces the variant of that name. Without it nobody can."""
    cohorts: tuple[Cohort, ...] = ()
    """Rules for groups of requests, before the split; the first that fits counts."""


class Model(Part):
    """A model server's content."""

    name: Text
    """The name under which the model is served."""
    version: Text
    """Its version; on the local stack also the folder below model_servers."""
    image: Text | None = None
    """The container image that serves it."""
    uri: Text | None = None
    """Where the model is stored, for platforms that load it themselves."""


class Variant(Part):
    """One of the things compared."""

    name: Label
    """The name of the variant."""
    split: Share
    """Its share of the traffic when the experiment starts; all shares make 100%."""
    model: Model
    """The model behind it."""


class Metric(Part):
    """What is measured, which way is better, and how much matters."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]
    """The name in reports."""
    role: core.Role
    """primary decides; guardrail must not get worse by more than its margin; secondary is shown."""
    kind: core.Kind
    """What kind of number it is, which decides the statistics."""
    of: Text
    """What it is made of: errors, latency, requests, or the name of an outcome in the feedback."""
    direction: core.Direction
    """Which way is better."""
    mde: Size | None = None
    """The smallest effect worth finding: 2pp (points), 2% (of the control) or 0.5abs (its unit)."""
    margin: Size | None = None
    """How much worse a guardrail may be, written like mde."""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    """Which quantile, between 0 and 1, for kind quantile."""
    selectors: dict[str, str] = Field(default_factory=dict)
    """PromQL selectors in place of the preset's, by part (n, successes, ...)."""


class Prometheus(Part):
    """A Prometheus server."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^@\s]+$")]
    """Its address, without user and password."""


class Source(Part):
    """Where the evidence comes from: one of prometheus, scrape and file."""

    prometheus: Prometheus | None = None
    """A Prometheus server."""
    scrape: dict[str, str] | None = None
    """Metrics endpoints that abctl reads by itself."""
    file: dict[str, str] | None = None
    """Samples that were recorded before."""
    preset: Text = "abctl"
    """Whose metrics they are: abctl, mlserver, seldon, knative, istio, envoy."""


class Design(Part):
    """How it is decided."""

    test: Literal["sequential", "fixed"] = "sequential"
    """sequential: valid however often anyone looks. fixed: one look, at the planned end."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The rate of false alarms that is accepted."""
    power: float = Field(default=0.8, gt=0, lt=1)
    """The chance to find an effect of the size of mde."""
    min_duration: Duration = Field(default=7 * 86400.0, json_schema_extra={"default": "7d"})
    """No verdict to ship before; whole weeks even out weekdays."""
    max_duration: Duration = Field(default=14 * 86400.0, json_schema_extra={"default": "14d"})
    """When to give up."""
    settle: Duration = Field(default=60.0, json_schema_extra={"default": "1m"})
    """The time after each change of the split that is left out."""


class Spec(Part):
    """The experiment."""

    platform: Text
    """What carries the split: the name of a platform, e.g. envoy."""
    assignment: Assignment
    """How a unit gets its variant."""
    variants: tuple[Variant, ...] = Field(min_length=2)
    """What is compared: the first is the control. The order is fixed for the experiment's life."""
    metrics: tuple[Metric, ...] = Field(min_length=1)
    """What is measured; at least one is primary."""
    source: Source | None = None
    """Where the evidence comes from. The local stack fills it in where it is left out."""
    design: Design = Design()
    """How it is decided."""


class File(Part):
    """An experiment of abctl: two or more models behind a split, and what decides between them."""

    api_version: Literal["abctl.dev/v1alpha1"]
    """The version of this format."""
    kind: Literal["Experiment"]
    """What the file holds."""
    metadata: Metadata
    """What the experiment is called."""
    spec: Spec
    """The experiment."""

    @classmethod
    def parse(cls, text: str, place: str) -> Self:
        """The file, its shape checked but not yet what it says."""
        try:
            return cls.model_validate(_document.parse_document(text, place))
        except ValidationError as error:
            raise _checks.as_error(_checks.of_shape(cls, error), place) from None


def load(path: Path) -> core.Experiment:
    """Read an experiment file.

    Raises:
        SpecError: whatever is wrong with it, each with its place, its value and a hint.
    """
    return parse(_document.read_text(path), str(path))


def parse(text: str, place: str) -> core.Experiment:
    """Read the text of an experiment file; errors call it by its place.

    Raises:
        SpecError: whatever is wrong with it, each with its place, its value and a hint.
    """
    file = File.parse(text, place)
    if problems := _checks.of_meaning(file.spec):
        raise _checks.as_error(problems, place)
    return _experiment(file)


def _experiment(file: File) -> core.Experiment:
    spec, rule, design = file.spec, file.spec.assignment, file.spec.design
    split = _checks.split_of(spec)
    return core.Experiment(
        name=file.metadata.name,
        namespace=file.metadata.namespace,
        platform=spec.platform,
        assignment=core.Assignment(
            unit=rule.unit,
            key=rule.key or "",
            salt=rule.salt or "",
            buckets=rule.buckets,
            override=rule.override,
            cohorts=tuple(
                core.Cohort(
                    c.header,
                    c.value,
                    c.variant,
                    None if c.split is None else _checks.cohort_split(split, c.split),
                )
                for c in rule.cohorts
            ),
        ),
        variants=tuple(core.Variant(v.name, core.Model(**dict(v.model))) for v in spec.variants),
        split=split,
        metrics=tuple(core.Metric(**dict(metric)) for metric in spec.metrics),
        source=_source(spec.source),
        design=core.Design(
            test=design.test,
            alpha=design.alpha,
            power=design.power,
            min_duration_seconds=design.min_duration,
            max_duration_seconds=design.max_duration,
            settle_seconds=design.settle,
        ),
    )


def _source(source: Source | None) -> core.Source | None:
    if source is None:
        return None
    if source.prometheus:
        return core.Source("prometheus", {"url": source.prometheus.url}, source.preset)
    if source.scrape is not None:
        return core.Source("scrape", source.scrape, source.preset)
    return core.Source("file", source.file or {}, source.preset)
