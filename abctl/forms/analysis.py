"""The analysis as `-o json` and `-o yaml` print it; `abctl schema analysis` prints its JSON Schema.

Times are ISO 8601 in UTC, numbers are not rounded, and what is infinite or unknown is null. Within
`abctl.dev/v1` no field is renamed and none goes. The texts below fields are their descriptions.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from abctl.core.experiment import Direction, Kind, Role, Unit
from abctl.forms.estimates import Comparison, Guarantee, OtherView, Reason, Refusals, Result, Size
from abctl.forms.totals import Answers, Coverage, Selectors, Variant, Written

__all__ = ["Answers", "Coverage", "OtherView", "Variant"]


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
    polls: int = 0
    """How many of its intervals are over."""


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


class SegmentEffect(Written):
    """A treatment against the control in one metric, among the units of one segment."""

    metric: str
    """The name of the metric."""
    treatment: str
    """The name of the variant."""
    result: Result
    """Two-sided, at the level that Holm leaves to it."""
    p_adjusted: float | None
    """With all segments and treatments of the metric accounted for (Holm)."""
    differs: bool
    """Whether any difference is proven."""


class Segment(Written):
    """Units that have one value of a column: they decide nothing, but for their split."""

    column: str
    """Which column."""
    value: str | None
    """Its value; null where it is empty."""
    units: tuple[float, ...]
    """Units of each variant, the control first."""
    few: bool
    """Whether it has too few to be judged; then there are no effects."""
    split: Srm
    """Whether they follow the split."""
    p_adjusted: float | None
    """Of that, with all segments that are judged accounted for (Holm)."""
    effects: tuple[SegmentEffect, ...]
    """Of each metric and treatment."""


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
    test: Literal["sequential", "horizon", "fixed"]
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
    refusals: tuple[Refusals, ...] = ()
    """Of each treatment, where refusals are told apart."""
    segments: tuple[Segment, ...] = ()
    """The same among units of one value of a declared column."""
