"""An experiment file as it is written: camelCase, no key that is not known.

The texts below classes and keys are the descriptions in the JSON Schema.
"""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Literal

from abctl.core import experiment as core
from abctl.spec.fields import (
    Duration,
    ExperimentName,
    Flag,
    Header,
    Label,
    Name,
    Part,
    Path,
    Plain,
    Salt,
    Service,
    Share,
    Size,
    Text,
    Url,
    Variable,
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


class Model(Part):
    """A model server's content."""

    name: Text
    """The name under which the model is served."""
    version: Version
    """Its version; on the local stack also the folder below --models."""
    image: Text | None = None
    """The container image that serves it."""
    uri: Text | None = None
    """Where the model is stored, for platforms that load it themselves. An image goes before it."""
    format: Literal["sklearn", "xgboost", "lightgbm", "mlflow"] | None = None
    """How the model at uri is stored."""
    service: Service | None = None
    """A Kubernetes Service that serves it already: [namespace/]name[:port], port 80 by default."""


class Variant(Part):
    """One of the things compared."""

    name: Label
    """The name of the variant."""
    split: Share
    """Its share of the traffic when the experiment starts; all shares make 100%."""
    model: Model
    """The model behind it."""


class Shadow(Part):
    """A model server that gets copies of requests; its answers are dropped, it is not judged."""

    name: Label
    """Its name, other than that of any variant."""
    share: Share = 10_000
    """How many of the requests that are split are copied, in whole percents."""
    model: Model
    """The model behind it."""


class Entrance(Part):
    """Where requests come in, on platforms that share a gateway."""

    gateway: Annotated[str, text("gateways/public")] | None = None
    """The gateway, as namespace/name."""
    host: Annotated[str, text("iris.example.com")] | None = None
    """The host name of the requests."""


class Metric(Part):
    """What is measured, which way is better, and how much matters."""

    name: Name
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
    quantile: Annotated[float, between(0, 1)] | None = None
    """Which quantile, between 0 and 1, for kind quantile."""
    selectors: Mapping[PartOfMetric, Plain] = MappingProxyType({})
    """PromQL selectors in place of the preset's, by part (n, successes, ...)."""
    time_unit: Literal["s", "ms"] | None = None
    """What own selectors count time in; the result is in seconds."""


class BasicAuth(Part):
    """A user and a password, which has no place in the file."""

    username: Text
    """The user."""
    password_file: Text | None = None
    """The file that holds the password."""
    password_env: Variable | None = None
    """The environment variable that holds the password."""


class TlsConfig(Part):
    """Whom to trust, and who one is."""

    ca_file: Text | None = None
    """The certificates (PEM) of the authorities to trust, in place of the system's."""
    cert_file: Text | None = None
    """The own certificate (PEM), for servers that want one."""
    key_file: Text | None = None
    """Its key (PEM), without a password; left out where certFile holds it as well."""
    insecure_skip_verify: Flag = False
    """Trust every certificate: anyone on the network path can read and change everything."""


class Prometheus(Part):
    """A Prometheus server, or another with its API (Thanos, Mimir, VictoriaMetrics)."""

    url: Url | None = None
    """Its address, with the path in front of /api/v1; secrets have no place in the file."""
    service: Service | None = None
    """Or its Service in the cluster of the experiment, reached through the cluster's API server."""
    path: Path | None = None
    """With service: the path in front of /api/v1."""
    basic_auth: BasicAuth | None = None
    """A user and a password."""
    bearer_token_file: Text | None = None
    """The file that holds a bearer token; it is read anew for each request."""
    bearer_token_env: Variable | None = None
    """The environment variable that holds a bearer token."""
    tls_config: TlsConfig | None = None
    """Whom to trust, and who one is."""
    headers: Mapping[Header, Text] = MappingProxyType({})
    """Headers of each request, such as that of a tenant (X-Scope-OrgID); nothing secret."""
    headers_env: Mapping[Header, Variable] = MappingProxyType({})
    """Headers whose values are secret, by the environment variables that hold them."""
    proxy_url: Url | None = None
    """The proxy; left out, that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""
    timeout: Duration = 30.0
    """How long an answer may take."""


class Scrape(Part):
    """Metrics endpoints that abctl reads by itself."""

    file: Text
    """Where it keeps what it has read."""


class Recorded(Part):
    """Samples that were recorded before."""

    path: Text
    """The file that holds them."""


class Source(Part):
    """Where the evidence comes from: one of prometheus, scrape and file."""

    prometheus: Prometheus | None = None
    """A Prometheus server."""
    scrape: Scrape | None = None
    """Metrics endpoints that abctl reads by itself."""
    file: Recorded | None = None
    """Samples that were recorded before."""
    preset: Annotated[str, text("abctl", "istio")] | None = None
    """Whose metrics they are. Left out: abctl's own, or the platform's where that loads models."""


class Design(Part):
    """How it is decided."""

    test: Literal["sequential", "fixed"] = "sequential"
    """sequential: valid however often you look. fixed: one look, at the planned end."""
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
    shadow: Shadow | None = None
    """A model that only gets copies of requests, on platforms that can do that."""
    entrance: Entrance | None = None
    """Where requests come in, on platforms that share a gateway."""
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
