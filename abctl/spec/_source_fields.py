"""The part of an experiment file that says where its evidence comes from.

The texts below classes and keys are the descriptions in the JSON Schema.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from abctl.core.number import parse_number
from abctl.core.tables import Cap, Engine
from abctl.spec.fields import (
    Duration,
    Flag,
    Form,
    Header,
    Part,
    Path,
    Plain,
    Service,
    Text,
    UnfitError,
    Url,
    Variable,
    text,
)

_LEAST, _LARGEST = 0.5, 1e12


def _unit_cap(written: str) -> Cap:
    share = written.strip().endswith("%")
    try:
        at = parse_number(written.strip().removesuffix("%"))
    except ValueError:
        raise UnfitError(f"{written!r}, must be a number, or a share such as 99.9%") from None
    if share and not _LEAST <= at / 100 < 1:
        raise UnfitError(f"{written!r}, must be from 50% to below 100%")
    if not 0 < at <= _LARGEST:
        raise UnfitError(f"{written!r}, must be above 0 and at most {_LARGEST:g}")
    return Cap(round(at / 100, 12), of_values=True) if share else Cap(at, of_values=False)


def _time_zone(written: str) -> str:
    import zoneinfo  # noqa: PLC0415 - of files with tables alone

    if written == "UTC":  # is known also where no other is
        return written
    try:
        zoneinfo.ZoneInfo(written)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UnfitError(f"{written!r}, must be a time zone: UTC, Europe/Berlin") from None
    return written


UnitCap = Annotated[
    Cap,
    Form(
        _unit_cap,
        {
            "examples": ["99.9%", 1000],
            "exclusiveMinimum": 0,
            "pattern": r"^\s*\d+(\.\d+)?\s*%$",
            "type": ["string", "number"],
        },
        "a number, or a share of the units: 99.9%",
    ),
]
TimeZone = Annotated[
    str,
    Form(_time_zone, {"examples": ["UTC", "Europe/Berlin"], "type": "string"}, "a time zone"),
]


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


class Exposures(Part):
    """Who saw which variant, and when."""

    from_: Text
    """A table, or one SELECT; with engine duckdb also a file or a glob of files."""
    unit: Text
    """The column of who was assigned, as assignment.key has it."""
    variant: Text
    """The column of the variant's name."""
    at: Text
    """The column of the time."""
    segments: tuple[Text, ...] = ()
    """Columns by whose values results and split are told apart: [country, device]."""


class Events(Part):
    """What units did, and when."""

    from_: Text
    """A table, or one SELECT; with engine duckdb also a file or a glob of files."""
    unit: Text
    """The column of who it was."""
    at: Text
    """The column of the time."""
    name: Text
    """The column of what happened, which metrics are of."""
    value: Text | None = None
    """The column of its number; left out, each event counts as 1."""


class Table(Part):
    """Tables of exposures and of events."""

    engine: Engine = "duckdb"
    """What reads them: duckdb for files; the others by a driver of Python that you install."""
    connection: Mapping[Variable, Plain] = MappingProxyType({})
    """What the driver's connect() takes, such as host, dbname, project; nothing secret."""
    connection_env: Mapping[Variable, Variable] = MappingProxyType({})
    """What of it is secret, by the environment variables that hold it: password: PGPASSWORD."""
    exposures: Exposures
    """Who saw which variant, and when."""
    events: Events
    """What units did, and when."""
    timezone: TimeZone = "UTC"
    """Of times that do not say theirs; days begin at midnight there."""
    late: Duration = 0.0
    """How long after an event its row may come: nothing is judged before."""


class Source(Part):
    """Where the evidence comes from: one of prometheus, scrape and file; table, or both."""

    prometheus: Prometheus | None = None
    """A Prometheus server."""
    scrape: Scrape | None = None
    """Metrics endpoints that abctl reads by itself."""
    file: Recorded | None = None
    """Samples that were recorded before."""
    table: Table | None = None
    """Tables of exposures and events, for the metrics with a window."""
    preset: Annotated[str, text("abctl", "istio")] | None = None
    """Whose metrics they are. Left out: abctl's own, or the platform's where that loads models."""
