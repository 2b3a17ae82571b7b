"""Estimates and claims as `-o json` prints them; see `abctl.forms.analysis`."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from abctl.core.answers import View
from abctl.forms.totals import Written

Guarantee = Literal["exact", "asymptotic"]


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
    se: float | UnsetType | None = UNSET
    """The standard error of the effect; null where the method has none."""
    statistic: float | UnsetType | None = UNSET
    """The distance from the null in standard errors under it; null where the method has none."""
    df: float | UnsetType | None = UNSET
    """Degrees of freedom of the statistic; null where it is normal, or there is none."""
    notes: tuple[str, ...] | UnsetType = UNSET
    """What a reader should know of this very result, in words, which may change."""
    note_codes: tuple[Reason, ...] | UnsetType = UNSET
    """The same in the same order as codes with facts."""


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


class OtherView(Written):
    """The same questions by whoever else counted: each side may stop, both must ship."""

    view: View
    """Whose view: of clients, by a proxy; or of the servers."""
    preset: str
    """Whose counters."""
    effect: Result
    """The two-sided estimate."""
    claims: tuple[Claim, ...]
    """What it says to each claim; harm at a level of its own."""


class Refusals(Written):
    """What a treatment refused (4xx) against the control, as shares of requests."""

    treatment: str
    """Its name."""
    view: View
    """Whose view: of clients, by a proxy; or of the servers."""
    preset: str
    """Whose counters."""
    result: Result
    """Two-sided at a level of its own; a difference blocks shipping."""


class Look(Written):
    """What the evidence up to a time says of an effect; numbers are null before an estimate."""

    at: str | None
    """Up to when."""
    effect: float | None
    """Treatment minus control."""
    interval: tuple[float | None, float | None]
    """Its two-sided interval at 1 - alpha; of a test for one look it holds at the planned end."""
    p: float | None
    """The p-value of no difference."""
    n: float
    """Units or requests of both variants together."""


class Worst(Written):
    """How bad a treatment may still be in a metric."""

    allowed: Size
    """How much worse it may be: the margin of a guardrail, the mde of a primary."""
    level: float
    """The chance that the bound is too low at any look; all of them together make alpha."""
    harm: float | None
    """The upper bound of the mean harm so far, relative where allowed is; null: there is none."""


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
    other: OtherView | None = None
    """By whoever else counted; null where nobody did."""
    unproven: bool = False
    """Whether nothing of it proves that a treatment may ship, as its counters know no users."""
    path: tuple[Look, ...] | None = None
    """What each look said of the effect, the last one as `effect` does; null without --path."""
    worst: Worst | None = None
    """How bad it may still be, by bounds that hold together; null without a ramp."""
