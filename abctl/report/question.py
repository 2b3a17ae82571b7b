"""What a report asks of a treatment in one metric: one question, with the p and interval of it.

What decides are one-sided claims, two of each metric: a primary may be better or worse than the
control, a guardrail within its margin or over it. Each has a bound that lies on the far side of its
boundary exactly if the claim is proven. The two bounds are the ends of one interval, and whichever
of the claims is shown, p and that interval cannot contradict each other. What decides nothing is
asked whether it differs, two-sided.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from abctl.core.analysis import Claim, ClaimKind, Comparison
from abctl.stats.delta import Delta
from abctl.stats.estimate import Alternative, Estimate, NotEstimable

# An end that only the test has set lies a millionth of the effect beside the boundary.
_HAIR = 1e-5


@dataclass(frozen=True)
class Question:
    """One question and its answer.

    Attributes:
        says: the claim; `different` where there is none.
        alternative: the side of the null on which it holds.
        null: its boundary: no effect, or the margin.
        result: the estimate that answers it.
        p: of that result, corrected where others are asked as well.
        corrected: whether it is (Holm).
        holds: whether it is proven.
        effect: the estimate, relative if the null is; None where the control is 0.
        ends: of the interval, in the same unit; None where there is no end.
        mixed: whether the opposite was proven too, at another look.
    """

    says: ClaimKind | Literal["different"]
    alternative: Alternative
    null: Delta
    result: Estimate
    p: float
    corrected: bool
    holds: bool
    effect: float | None
    ends: tuple[float | None, float | None]
    mixed: bool = False

    @property
    def decisive(self) -> tuple[float, ...]:
        """The ends that answer it."""
        low, high = self.ends
        found = {"greater": (low,), "less": (high,), "two-sided": (low, high)}[self.alternative]
        return tuple(end for end in found if end is not None)

    @property
    def by_p_alone(self) -> bool:
        """Whether there is no interval: the margin is relative to a control that may be 0."""
        return not self.decisive and self.null.relative and self.result.lift_interval is None

    def by_test_alone(self, end: float) -> bool:
        """Whether the test, and not the interval, has put an end just beside the boundary."""
        distance = abs((self.effect or 0.0) - self.null.value)
        return abs(end - self.null.value) <= _HAIR * distance


def question(comparison: Comparison) -> Question | NotEstimable:
    """The question to show: harm that is proven, else what shipping needs, else any difference."""
    if not comparison.claims:
        return _different(comparison.effect)
    harm = comparison.claim("harm")
    shown = harm if harm and harm.proven else comparison.claims[0]
    result = shown.result
    if not isinstance(result, Estimate):
        return result
    p = result.p if shown.p_adjusted is None else shown.p_adjusted
    return Question(
        says=shown.says,
        alternative=result.alternative,
        null=shown.null,
        result=result,
        p=p,
        corrected=p != result.p,
        holds=shown.proven,
        effect=result.lift if shown.null.relative else result.effect,
        ends=_ends(comparison.claims, shown),
        mixed=all(claim.proven for claim in comparison.claims[:2]) and len(comparison.claims) > 1,
    )


def _ends(claims: Iterable[Claim], shown: Claim) -> tuple[float | None, float | None]:
    """The bounds of both claims; only that of the one that is shown, if they cross."""
    bounds: dict[str, float | None] = {
        claim.result.alternative: claim.bound
        for claim in (*claims, shown)
        if isinstance(claim.result, Estimate)
    }
    low, high = bounds.get("greater"), bounds.get("less")
    if low is not None and high is not None and low > high:
        greater = isinstance(shown.result, Estimate) and shown.result.alternative == "greater"
        return (low, None) if greater else (None, high)
    return low, high


def _different(result: Estimate | NotEstimable) -> Question | NotEstimable:
    if not isinstance(result, Estimate):
        return result
    return Question(
        says="different",
        alternative="two-sided",
        null=Delta(0.0, relative=False),
        result=result,
        p=result.p,
        corrected=False,
        holds=result.rejects,
        effect=result.effect,
        ends=result.interval,
    )
