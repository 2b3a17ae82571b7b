"""Totals of the variants in an analysis, as `-o json` prints them; see `abctl.forms.analysis`."""

from collections.abc import Mapping

from abctl.core.answers import View
from abctl.forms import Form

Selectors = Mapping[str, Mapping[str, str]]


class Written(Form, rename="camel"):
    """A mapping with keys in camelCase."""


class Coverage(Written):
    """How well the targets of a variant were watched."""

    targets: int
    """How many targets there were."""
    restarts: int
    """How often one of them restarted."""
    interval_seconds: float | None
    """The usual scrape interval."""
    covered_ratio: float | None
    """The share of the counted time that is not in gaps between scrapes."""
    stale_seconds: float | None
    """Since the last scrape."""
    left_out: float | None
    """Deprecated: the same as excludedRequests."""
    unseen: float | None
    """Deprecated: the same as requestsBeforeFirstScrape."""
    falls: int
    """Deprecated: the same as unexplainedResets."""
    gone: int
    """Deprecated: the same as lostTargets."""
    doubtful_ratio: float | None
    """Deprecated: the same as ambiguousRatio."""
    excluded_requests: float | None
    """Requests that were seen while they did not count (settling, changes of the split)."""
    requests_before_first_scrape: float | None
    """Requests that a counter held when it was first scraped, of unknown age."""
    unexplained_resets: int
    """How often counters were reset though their process went on (a worker of it died)."""
    lost_targets: int
    """How many of the targets are not scraped any more."""
    ambiguous_ratio: float | None
    """The share of requests that are counted twice if no drop of unknown cause was a restart."""


class Answers(Written):
    """Answers of a variant by class."""

    view: View
    """Whose view: of clients, by a proxy in front of the servers; or of the servers themselves."""
    preset: str
    """Whose counters these are."""
    good: float
    """2xx and 3xx; gRPC status OK."""
    refused: float
    """What clients did wrong: 4xx, and the gRPC statuses that say so."""
    failed: float
    """5xx, and what the proxy answered because no server did."""
    unanswered: float | None
    """Of these, what no server answered (502, 503, 504); null where nobody can tell."""


class Variant(Written):
    """Totals of one variant over all that counts; null where nothing is known."""

    name: str
    """Its name."""
    requests: float | None
    """Exposures that are part of the experiment."""
    outside: float | None
    """Deprecated: the same as unassignedRequests."""
    unassigned_requests: float | None
    """Requests without a unit, which are not."""
    values: Mapping[str, float | None]
    """Of each metric, over everything; effects are compared epoch by epoch instead."""
    error_ratio: float | None
    """Server errors among requests that were answered."""
    latency_p50_seconds: float | None
    """The median of its latency."""
    latency_p95_seconds: float | None
    """The 95th percentile of its latency."""
    coverage: Coverage | None
    """How well it was watched; null where the source has nothing of it."""
    selectors: Selectors
    """What was asked for, by total and part."""
    latency_mean_seconds: float | None
    """The mean of its latency."""
    answers: Answers | None = None
    """Its answers by class; null where nobody tells them apart."""
