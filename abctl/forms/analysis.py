"""The analysis as `-o json` and `-o yaml` print it; `abctl schema analysis` prints its JSON Schema.

Times are ISO 8601 in UTC, numbers are not rounded, and what is infinite or unknown is null. Within
`abctl.dev/v1` no field is renamed and none goes. The texts below fields are their descriptions.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from abctl.core.experiment import Direction, Kind, Role, Unit
from abctl.forms import Form

Selectors = Mapping[str, Mapping[str, str]]
Guarantee = Literal["exact", "asymptotic"]


class Written(Form, rename="camel"):
    """A mapping with keys in camelCase."""


class Reason(Written):
    """A reason or a note for machines."""

    code: str
    """Keeps its meaning."""
    facts: Mapping[str, Any]
    """Values by name, with their units in their names."""


class Size(Written):
    """A size of effect."""

    value: float
    """0.02 is two percent of the control where it is relative, else in the metric's unit."""
    relative: bool
    """Whether it is a share of the control's value."""


class Result(Written, kw_only=True):
    """An estimate, effect = treatment - control; or why there is none, with method, reason, n."""

    method: str
    """The statistical method."""
    reason: str | UnsetType = UNSET
    """Why nothing can be estimated, in words; there only in that case, with code and facts."""
    code: str | UnsetType = UNSET
    """The same as a code."""
    facts: Mapping[str, Any] | UnsetType = UNSET
    """Its facts."""
    control: float | UnsetType | None = UNSET
    """The value of the metric in the control."""
    treatment: float | UnsetType | None = UNSET
    """The value of the metric in the treatment."""
    effect: float | UnsetType | None = UNSET
    """Treatment minus control, in the metric's unit."""
    interval: tuple[float | None, float | None] | UnsetType = UNSET
    """Its confidence interval (or sequence) at 1 - alpha; null is an open end."""
    lift: float | UnsetType | None = UNSET
    """The effect relative to the control: 0.1 is +10%; null where the control is 0."""
    lift_interval: tuple[float | None, float | None] | UnsetType | None = UNSET
    """Its interval; null where the control cannot be told from 0."""
    p: float | UnsetType | None = UNSET
    """The p-value of the null; valid at every look where the method is sequential."""
    log_p: float | UnsetType | None = UNSET
    """Its natural logarithm, which stays finite where p underflows."""
    alpha: float | UnsetType = UNSET
    """The error rate."""
    alternative: Literal["two-sided", "greater", "less"] | UnsetType = UNSET
    """greater tests "effect <= null", less tests "effect >= null"."""
    guarantee: Guarantee | UnsetType = UNSET
    """Whether p holds at any sample size, or as it grows."""
    assumptions: tuple[str, ...] | UnsetType = UNSET
    """What must be true for that."""
    n: tuple[float, float]
    """Units or requests of control and treatment."""
    epochs: tuple[int, ...] | UnsetType = UNSET
    """The epochs that the estimate was made of."""
    log_e: float | UnsetType | None = UNSET
    """The natural logarithm of the e-value; null for methods of one look."""
    notes: tuple[str, ...] | UnsetType = UNSET
    """What a reader should know of this very result."""


class Claim(Written):
    """A one-sided question and its answer."""

    says: Literal["better", "harm", "non-inferior"]
    """What is proven if the null is rejected."""
    null: Size
    """The effect under the null hypothesis; the margin of a guardrail."""
    result: Result
    """The one-sided estimate at level alpha."""
    p_adjusted: float | None
    """With all primaries and treatments accounted for (Holm), where shipping needs it."""
    proven: bool
    """Whether the null is rejected."""
    level: float | None
    """What the p of the result is held against."""
    bound: float | None
    """The one-sided bound of the effect at that level; relative where the null is."""


class Reading(Written):
    """A classical test beside the one that decides."""

    result: Result
    """Its estimate."""
    caveat: str
    """When it must not be used, in words, which may change."""
    caveat_codes: tuple[Reason, ...]
    """The same in the same order as codes with facts."""


class Comparison(Written):
    """A treatment against the control in one metric."""

    treatment: str
    """The name of the variant."""
    effect: Result
    """The two-sided estimate, for its interval."""
    claims: tuple[Claim, ...]
    """What decides."""
    readings: tuple[Reading, ...]
    """Classical tests, for comparison."""


class PosteriorSummary(Written):
    """What a Bayesian says of a variant; it decides nothing."""

    variant: str
    """The name of the variant."""
    better: float | None
    """The probability to be better than the control; null for the control."""
    best: float | None
    """The probability to be the best of all variants."""
    loss: float | None
    """What choosing it is expected to cost, in the metric's unit."""
    caveat: str
    """What it must not be used for."""


class Metric(Written):
    """A metric, how it was measured, and what came out of it."""

    name: str
    """Its name in the experiment file."""
    role: Role
    """What it is for: primary decides, guardrail must not get worse, secondary is shown."""
    kind: Kind
    """What kind of number it is."""
    of: str
    """What it is made of: errors, latency, requests, or an outcome."""
    direction: Direction
    """Which way is better."""
    quantile: float | None
    """Which quantile, for kind quantile."""
    mde: Size | None
    """The smallest effect worth finding."""
    margin: Size | None
    """How much worse a guardrail may be."""
    method: str
    """The method that decides."""
    selectors: Selectors
    """What was asked for, by variant and part."""
    remarks: tuple[str, ...]
    """What a reader should know of how it is measured, in words, which may change."""
    remark_codes: tuple[Reason, ...]
    """The same in the same order as codes with facts."""
    polls: int
    """Into how many intervals the time was cut."""
    comparisons: tuple[Comparison, ...]
    """Each treatment against the control."""
    beliefs: tuple[PosteriorSummary, ...]
    """Bayesian summaries of all variants; empty where there is not enough for one."""


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


class Epoch(Written):
    """A period of one constant split, without its settling time."""

    number: int
    """Counted from 0."""
    start: str
    """When it began."""
    end: str
    """When it ended, or up to when it was read."""
    split: Mapping[str, float]
    """The share of each variant, between 0 and 1."""
    counted: bool
    """Whether it is part of the evidence."""


class Srm(Written, kw_only=True):
    """The check of the split (sample ratio mismatch); or why there is none: method, reason, n."""

    method: str
    """Which check."""
    p: float | UnsetType | None = UNSET
    """The p-value of "traffic follows the split"."""
    log_p: float | UnsetType | None = UNSET
    """Its natural logarithm; null where the split forbids what was seen."""
    alpha: float | UnsetType = UNSET
    """The error rate."""
    observed: tuple[float, ...] | UnsetType = UNSET
    """Units or requests of each variant."""
    expected: tuple[float, ...] | UnsetType = UNSET
    """The same by the split."""
    statistic: float | UnsetType | None = UNSET
    """The statistic; the log e-value where the check is sequential."""
    df: tuple[float, ...] | UnsetType = UNSET
    """Degrees of freedom; empty where the check is sequential."""
    guarantee: Guarantee | UnsetType = UNSET
    """Whether p holds at any sample size, or as it grows."""
    reason: str
    """What was seen; variants are numbered from 0, the control."""
    n: tuple[float, float] | UnsetType = UNSET
    """Units or requests, where nothing can be checked."""
    code: str | UnsetType = UNSET
    """The reason as a code, where nothing can be checked."""
    facts: Mapping[str, Any] | UnsetType = UNSET
    """Its facts."""


class Verdict(Written):
    """What follows, and why."""

    kind: Literal["ship", "stop", "continue", "invalid"]
    """What to do."""
    treatment: str | None
    """What ships, or is to be taken out; null where all are meant."""
    reasons: tuple[str, ...]
    """Why, in words, which may change."""
    reason_codes: tuple[Reason, ...]
    """The same in the same order as codes with facts."""
    treatments: tuple["Verdict", ...]
    """The verdict on each treatment that takes part."""


class Analysis(Written):
    """An analysis of abctl: whether a treatment may ship, and everything that was found."""

    api_version: Literal["abctl.dev/v1"]
    """The version of this format."""
    kind: Literal["Analysis"]
    """What the document holds."""
    experiment: str
    """The name of the experiment."""
    at: str
    """Up to when the evidence was read."""
    source: str
    """Where the evidence is from."""
    preset: str
    """Whose metrics it is."""
    unit: Unit
    """What is assigned to variants."""
    test: Literal["sequential", "fixed"]
    """sequential is valid at every look, fixed at the planned end."""
    alpha: float
    """The rate of false alarms that is accepted."""
    started: str | None
    """When the experiment started; null if it did not."""
    elapsed_seconds: float
    """Since then."""
    min_duration_seconds: float
    """No verdict to ship before."""
    max_duration_seconds: float
    """When to give up."""
    epochs: tuple[Epoch, ...]
    """Periods of one constant split."""
    variants: tuple[Variant, ...]
    """Totals of each variant."""
    metrics: tuple[Metric, ...]
    """Results of each metric."""
    srm: Srm | None
    """The check of the split; null where there was nothing to check."""
    notes: tuple[str, ...]
    """What a reader should know besides, in words, which may change."""
    note_codes: tuple[Reason, ...]
    """The same in the same order as codes with facts."""
    verdict: Verdict
    """What follows."""
    remarks: Mapping[str, str]
    """How the preset measures errors and latency."""
    current_split: Mapping[str, float] | None = None
    """The split that is in effect by the ledger; null before the first."""
    counts_from: str | None = None
    """When requests for it began to count, or will; null while it is being changed."""
