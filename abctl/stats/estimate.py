"""What a method returns: an `Estimate`, or `NotEstimable` and why; never a fake number.

A *method* is a module in `abctl.stats.methods` with

    SUMMARY: type[Summary]        the summaries that it takes
    SEQUENTIAL: bool              whether its result stays valid however often anyone looks
    def estimate(stream: Stream, plan: Plan) -> Estimate | NotEstimable

A sequential one that also has `contrasts` gets a twin that ends in `_horizon`.

Effects are treatment minus control, always.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from abctl.stats.delta import Delta

Guarantee = Literal["exact", "asymptotic"]
Alternative = Literal["two-sided", "greater", "less"]
Prior = Literal["six-point", "two-point"]
_NO_EFFECT = Delta(0.0, relative=False)
# Other libraries' words for the same.
_ALSO: dict[object, Alternative] = {
    "two_sided": "two-sided",
    "larger": "greater",
    "smaller": "less",
}


@dataclass(frozen=True)
class Remark:
    """Why there is no estimate, or what a reader should know of one: a code with its facts.

    >>> Remark("tooFewValues", {"n_count": 3.0, "needed_count": 30})
    Remark(code='tooFewValues', facts={'n_count': 3.0, 'needed_count': 30})

    `abctl.core.reasons` has the words of each code.
    """

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Plan:
    """What was decided before the data: it tunes power, never validity.

    >>> Plan(alternative="less", null=Delta(0.1, relative=True)).null.value  # H0: at least 10% more
    0.1
    >>> Plan(alpha=5)
    Traceback (most recent call last):
        ...
    ValueError: alpha 5, must be in (0, 1)
    >>> Plan(alternative="larger").alternative  # as statsmodels says it
    'greater'

    Args:
        alpha: error rate of the method, in (0, 1); at most 0.5 where one side is tested.
        alternative: `greater` tests H0 "effect <= null", `less` tests H0 "effect >= null". Also
            taken: `larger`, `smaller` and `two_sided`.
        null: the effect under the null hypothesis; a margin makes it a guardrail.
        mde: the smallest effect worth finding; None where it was not planned.
        quantile: for quantiles, in (0, 1).
        threshold: for the share above a threshold, in the unit of the histogram's edges.
        prior: the alternatives that sequential methods try: half, once and twice the MDE on both
            sides and, with a tenth of the weight, all others; or just the MDE, which is a little
            faster where the truth is the MDE, and never finds an effect of under half of it.
        horizon: the planned information times the square of the MDE, (z_alpha + z_power)^2 times
            what looking costs; None: one-sided at 5% with 80% power.

    Raises:
        ValueError: alpha or quantile is not in (0, 1), the alternative or the prior is none, or a
            size is no number, an mde of 0, or a null that leaves nothing of the control.
    """

    alpha: float = 0.05
    alternative: Alternative = "two-sided"
    null: Delta = _NO_EFFECT
    mde: Delta | None = None
    quantile: float | None = None
    threshold: float | None = None
    prior: Prior = "six-point"
    horizon: float | None = None

    def __post_init__(self) -> None:
        for name, share in (("alpha", self.alpha), ("quantile", self.quantile)):
            if share is not None and not 0.0 < share < 1.0:
                raise ValueError(f"{name} {share}, must be in (0, 1)")
        alternative = _ALSO.get(self.alternative, self.alternative)
        if alternative not in get_args(Alternative):
            known = ", ".join(get_args(Alternative))
            raise ValueError(f"alternative {self.alternative!r}, must be one of {known}")
        object.__setattr__(self, "alternative", alternative)
        # Beyond one half the null would be rejected for an effect on its own side.
        if alternative != "two-sided" and self.alpha > 0.5:
            raise ValueError(f"alpha {self.alpha}, must be at most 0.5 where one side is tested")
        if self.prior not in get_args(Prior):
            raise ValueError(f"prior {self.prior!r}, must be one of {', '.join(get_args(Prior))}")
        if not math.isfinite(self.null.value) or (self.null.relative and self.null.value <= -1.0):
            raise ValueError(f"null {self.null.value}, must be a number, and over -100% of control")
        if self.mde is not None and not 0.0 < abs(self.mde.value) < math.inf:
            raise ValueError(f"mde {self.mde.value}, must be a number other than 0")
        if self.horizon is not None and not 0.0 < self.horizon < math.inf:
            raise ValueError(f"horizon {self.horizon}, must be a number over 0")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ValueError(f"threshold {self.threshold}, must be a number")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A result, effect = treatment - control.

    >>> from abctl.stats.methods import proportion
    >>> from abctl.stats.summary import Counts, Stream
    >>> found = proportion.estimate(Stream(Counts(1000, 100), Counts(1000, 130), 0), Plan())
    >>> round(found.effect, 4), [round(end, 4) for end in found.interval]
    (0.03, [0.002, 0.0582])
    >>> round(found.lift, 4), round(found.p, 4), found.rejects
    (0.3, 0.0355, True)

    Attributes:
        method: the name of the method.
        control, treatment: the value of the metric in each, in the metric's unit.
        effect, interval: the difference and its confidence interval (or sequence) at `1 - alpha`.
            A one-sided interval has an infinite end. The interval contains the null exactly if the
            null is not rejected; an end that only the test sets lies a millionth of the effect
            beside the null.
        lift, lift_interval: relative to the control (0.1 is +10%). Both are None where the control
            is 0; the interval is also None where the control is not significantly different from 0.
        p, log_p: p-value of the null (always valid where sequential), and its natural logarithm,
            which stays finite where p underflows.
        log_e: natural logarithm of the e-value; None for fixed methods.
        guarantee: of p and the decision: `exact` at any sample size, or `asymptotic`.
        assumptions: what must be true, in words.
        n: units or requests of control and treatment.
        epochs: the epochs that the estimate uses.
        notes: what a reader should know about this result.
        se: standard error of the effect, of shares and rates with an event (and a failure) added
            to each; None where the method has none (ranks, quantiles of one look).
        statistic: distance from the null in standard errors under the null.
        df: degrees of freedom of that statistic; infinite for a normal one.
    """

    method: str
    control: float
    treatment: float
    effect: float
    interval: tuple[float, float]
    lift: float | None
    lift_interval: tuple[float, float] | None
    p: float
    log_p: float
    alpha: float
    alternative: Alternative
    guarantee: Guarantee
    assumptions: tuple[str, ...]
    n: tuple[float, float]
    epochs: tuple[int, ...]
    log_e: float | None = None
    notes: tuple[Remark, ...] = ()
    se: float | None = None
    statistic: float | None = None
    df: float | None = None

    @property
    def rejects(self) -> bool:
        """Whether the null is rejected at alpha."""
        return self.p < self.alpha or (self.log_e is not None and self.p <= self.alpha)

    def bound(self, null: Delta) -> float | None:
        """The confidence bound of the effect: the finite end of a one-sided interval.

        Args:
            null: of the plan; if it is relative, so is the bound.

        Returns:
            An effect, or a lift. It is on the alternative's side of the null exactly if the null
            is rejected. None if the estimate is two-sided, or if no lift can be excluded.
        """
        interval = self.lift_interval if null.relative else self.interval
        if interval is None or self.alternative == "two-sided":
            return None
        end = interval[0 if self.alternative == "greater" else 1]
        return end if math.isfinite(end) else None


@dataclass(frozen=True)
class NotEstimable:
    """There is no estimate yet.

    >>> from abctl.stats.methods import proportion
    >>> from abctl.stats.summary import Counts, Stream
    >>> proportion.estimate(Stream(Counts(0, 0), Counts(1000, 130), 0), Plan()).why.code
    'noSharedEpoch'

    Attributes:
        method: the name of the method.
        why: there is none.
        n: units or requests of control and treatment, where they are known.
    """

    method: str
    why: Remark
    n: tuple[float, float] = (0.0, 0.0)
