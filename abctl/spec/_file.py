"""An experiment file as it is written: camelCase, no key that is not known.

The texts below classes and keys are the descriptions in the JSON Schema.
"""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Any, Literal

from abctl.core import experiment as core
from abctl.core.outcome import OutcomeKind, Per
from abctl.spec._log_fields import PredictionLog
from abctl.spec._ramp_fields import Ramp
from abctl.spec._source_fields import Source, UnitCap
from abctl.spec.fields import (
    Cap,
    Duration,
    ExperimentName,
    Flag,
    Format,
    Header,
    Label,
    MetaKey,
    Name,
    Part,
    Plain,
    Runtime,
    Salt,
    Service,
    Sha256,
    Share,
    Size,
    Text,
    Version,
    among,
    between,
    text,
    whole,
)

PartOfMetric = Annotated[str, among(chain(*core.PARTS.values(), *core.OPTIONAL_PARTS.values()))]


class Metadata(Part):
    """What the experiment is called, and where it runs."""

    name: ExperimentName
    """The name of the experiment: a lower-case letter, then letters, digits and dashes."""
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
    split: Annotated[str, text("50/50", "treatment=30%")] | None = None
    """Their own split, in the order of the variants (50/50), or by treatment (treatment=30%)."""


class Assignment(Part):
    """How a unit gets its variant."""

    unit: core.Unit
    """What is assigned: each request by itself, a user, or a cohort (a tenant, a session, ...)."""
    key: Header | None = None
    """The request header that holds the id of the unit; needed unless the unit is the request."""
    salt: Salt | None = None
    """Mixed into the hash: another salt assigns independently. Only unit request can do without."""
    buckets: Annotated[int, whole(8, 1024)] = 64
    """How many groups of units the variance is taken between."""
    override: Header | None = None
    """A request header whose value forces the variant of that name; without it, none is forced."""
    cohorts: tuple[Cohort, ...] = ()
    """Rules for groups of requests, before the split; the first that fits counts."""
    hash: core.Hash | None = None
    """Which hash the evaluators of a flag have: flagd (the default), or flagd-cbor."""


class Model(Part):
    """A model server's content."""

    name: Text
    """The name under which the model is served."""
    version: Version
    """Its version; on the local stack also the folder below --models."""
    path: Text | None = None
    """The MLServer folder that the local stack serves; a relative one begins at this file."""
    sha256: Sha256 | None = None
    """The SHA-256 of the model's file in it, which is checked before anything is loaded."""
    image: Text | None = None
    """The container image that serves it."""
    uri: Text | None = None
    """Where the model is stored, for platforms that load it themselves. An image goes before it."""
    format: Format | None = None
    """How the model at uri is stored: a format of KServe (huggingface, onnx, ...) or Seldon."""
    runtime: Runtime | None = None
    """The ServingRuntime of KServe that loads it; left out, KServe chooses by format."""
    protocol: core.Protocol = core.PROTOCOL
    """The protocol of KServe by which it is asked."""
    service: Service | None = None
    """A Kubernetes Service that serves it already: [namespace/]name[:port], port 80 by default."""


class PodMetadata(Part):
    """Labels and annotations of pods."""

    labels: Mapping[MetaKey, Plain] = MappingProxyType({})
    """Further labels; those of abctl stay."""
    annotations: Mapping[MetaKey, Plain] = MappingProxyType({})
    """Annotations."""


class Template(Part):
    """How pods run, merged into what abctl renders as kubectl patch merges (strategic merge)."""

    replicas: Annotated[int, whole(0, 10_000)] | None = None
    """How many pods; left out, it is left to kubectl scale or an autoscaler."""
    metadata: PodMetadata = PodMetadata()
    """Labels and annotations of the pods."""
    spec: Mapping[Plain, Any] = MappingProxyType({})
    """As the spec of a Kubernetes Pod; the model server's container is called mlserver."""


class Variant(Part):
    """One of the things compared."""

    name: Label
    """The name of the variant."""
    split: Share
    """Its share of the traffic when the experiment starts; all shares make 100%."""
    model: Model
    """The model behind it."""
    template: Template | None = None
    """How the pods of its model servers run; goes before that of the experiment."""


class Shadow(Part):
    """A model server that gets copies of requests; its answers are dropped, it is not judged."""

    name: Label
    """Its name, other than that of any variant."""
    share: Share = 10_000
    """How many of the requests that are split are copied, in whole percents."""
    model: Model
    """The model behind it."""
    template: Template | None = None
    """How the pods of its model server run; goes before that of the experiment."""


class Entrance(Part):
    """Where requests come in, on platforms that share a gateway."""

    gateway: Annotated[str, text("gateways/public")] | None = None
    """The gateway, as namespace/name."""
    host: Annotated[str, text("iris.example.com")] | None = None
    """The host name of the requests."""


class Outcome(Part):
    """What may be reported after a prediction, to a collector, which counts it when it is due."""

    name: Name
    """The name in reports of feedback."""
    kind: OutcomeKind
    """binary: 0 or 1. number: any finite number. return: the user was answered again (not sent)."""
    times: Literal["once", "many"] = "once"
    """Whether one prediction may have several of it; then each needs an id of its own."""
    maturity: Duration
    """How long after its prediction it may come; it is judged when every prediction is as old."""
    window: Duration | None = None
    """How long after a user's first request it may happen to count for the user; else: maturity."""
    after: Duration | None = None
    """How long after the first request a return counts as one, for kind return; else: 1d."""
    cap: Cap | None = None
    """What a larger number counts as: of a report, or of a user's sum where it is per user."""
    early: tuple[Duration, ...] = ()
    """Ages before the maturity at which it is counted as well, for an earlier look: [1h, 6h]."""


class Metric(Part):
    """What is measured, which way is better, and how much matters."""

    name: Name
    """The name in reports."""
    role: core.Role
    """primary decides; guardrail must not get worse by more than its margin; secondary is shown."""
    kind: core.Kind
    """What kind of number it is, which decides the statistics."""
    of: Text
    """What is counted: errors, latency, server_errors, server_latency, requests, or an outcome."""
    over: Name | None = None
    """The outcome that it is divided by, for kind ratio: revenue over orders."""
    direction: core.Direction
    """Which way is better."""
    mde: Size | None = None
    """The smallest effect worth finding: 2pp (points), 2% (of the control) or 0.5abs (its unit)."""
    margin: Size | None = None
    """How much worse a guardrail may be, written like mde."""
    quantile: Annotated[float, between(0, 1)] | None = None
    """Which quantile, between 0 and 1, for kind quantile."""
    selectors: Mapping[PartOfMetric, Plain] = MappingProxyType({})
    """PromQL selectors in place of the preset's, by part (n, successes, ...)."""
    per: Per | None = None
    """Divided by the reports of an outcome (left out), the requests answered, or the users."""
    age: Duration | None = None
    """One of the outcome's early ages, if it is to decide; else an outcome decides at maturity."""
    window: Duration | None = None
    """Of source.table: how long after its first exposure what a unit does counts: 7d."""
    after: Duration | None = None
    """Of source.table: from when after it, until the window is over: 7d. Retention needs it."""
    before: Duration | None = None
    """Of source.table: how long before it the same is a covariate (CUPED): 14d."""
    cap: UnitCap | None = None
    """Of source.table: what a larger number of a unit counts as: a number, or 99.9% (of units)."""
    time_unit: Literal["s", "ms"] | None = None
    """What own selectors count time in; the result is in seconds."""


class Design(Part):
    """How it is decided."""

    test: Literal["horizon", "sequential", "fixed"] = "horizon"
    """horizon, sequential: valid however often you look. fixed: one look, at the planned end."""
    alpha: Annotated[float, between(0, 0.5)] = 0.05
    """The rate of false alarms that is accepted."""
    power: Annotated[float, between(0, 1)] = 0.8
    """The chance to find an effect of the size of mde."""
    min_duration: Duration = 7 * 86400.0
    """No verdict to ship before; whole weeks even out weekdays."""
    max_duration: Duration = 14 * 86400.0
    """When to give up."""
    settle: Duration = 60.0
    """The time after each change of the split that is left out."""


class Spec(Part):
    """The experiment."""

    platform: Text
    """What carries the split: the name of a platform, e.g. envoy."""
    assignment: Assignment
    """How a unit gets its variant."""
    variants: Annotated[tuple[Variant, ...], {"minItems": 2}]
    """What is compared: the first is the control. The order is fixed for the experiment's life."""
    metrics: Annotated[tuple[Metric, ...], {"minItems": 1}]
    """What is measured; at least one is primary."""
    outcomes: tuple[Outcome, ...] = ()
    """What may be reported after a prediction, to a collector; without it servers count reports."""
    log: PredictionLog | None = None
    """The log of predictions that model servers write; none if left out."""
    access_log: Flag = True
    """Whether what clients got is counted from the access log of envoy or nginx."""
    shadow: Shadow | None = None
    """A model that only gets copies of requests, on platforms that can do that."""
    entrance: Entrance | None = None
    """Where requests come in, on platforms that share a gateway."""
    flag_file: Text | None = None
    """For platform flagset: the file that flagd watches; a relative one begins at this file."""
    source: Source | None = None
    """Where the evidence comes from. The local stack fills it in where it is left out."""
    design: Design = Design()
    """How it is decided."""
    ramp: Ramp | None = None
    """How the split grows by itself under abctl run; without it, people shift."""
    template: Template | None = None
    """How all pods run that abctl makes; its replicas are those of each variant's servers."""
    proxy: Template | None = None
    """How the pods of envoy or nginx run; two replicas if left out."""


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
