"""One file a method; see `abctl.stats.estimate` for what a method is.

What was counted decides which one answers; the first of each pair is for one look at the planned
end, the second for any number of looks:

    Counts     proportion (newcombe; chi_squared; if small fisher,     proportion_sequence
               barnard, boschloo)
    Moments    welch                                                   mean_sequence
                                                                       bursty_mean_sequence
    PairedCounts  paired_proportion (mcnemar, mcnemar_mid_p)           paired_proportion_sequence
    PairedMoments paired_mean                                          paired_mean_sequence
    Buckets    ratio                                                   ratio_sequence
    Events     rate                                                    rate_sequence
    Histogram  quantile                                                quantile_sequence
               mann_whitney                                            histogram_sequence
               share_above                                             share_above_sequence

Means and ratios with a covariate from before the experiment have `cuped_sequence` and
`cuped_ratio_sequence` (for one look `abctl.stats.cuped`).

Each sequential method that has `contrasts` is made into another one, which with an mde needs hardly
more than one look: `proportion_horizon` of `proportion_sequence`.
"""

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from abctl import plugins
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.horizon import up_to_horizon
from abctl.stats.summary import Stream

_SEQUENCE, _HORIZON = "_sequence", "_horizon"


@dataclass(frozen=True)
class UpToHorizon:
    """A sequential method up to a planned information, and after it.

    H0 is that of the sequential method, which has 2% of alpha, and is alone without an mde and
    while events are few.

    >>> from abctl.stats.delta import Delta
    >>> from abctl.stats.summary import Counts
    >>> control, treatment = Counts([500] * 4, [50] * 4), Counts([500] * 4, [70] * 4)  # four polls
    >>> plan = Plan(mde=Delta(0.04, relative=False))
    >>> found = method("proportion_horizon").estimate(Stream(control, treatment, [0] * 4), plan)
    >>> round(found.effect, 4), round(found.p, 4)
    (0.04, 0.0077)

    Sources: see `abctl.stats.sequential.horizon`, and those of the sequential method.
    """

    name: str
    SEQUENTIAL = True

    @property
    def sequence(self) -> ModuleType:
        """The sequential method."""
        return plugins.module(__name__, self.name.removesuffix(_HORIZON) + _SEQUENCE)

    @property
    def __name__(self) -> str:
        return f"{__name__}.{self.name}"

    @property
    def SUMMARY(self) -> Any:  # noqa: N802 - as modules have it
        """The summaries that it takes."""
        return self.sequence.SUMMARY

    def estimate(self, stream: Stream[Any], plan: Plan) -> Estimate | NotEstimable:
        """The difference and its lift, valid however often anyone looks."""
        return up_to_horizon(self.name, self.sequence.contrasts(stream, plan), plan)


Method = ModuleType | UpToHorizon


@cache
def names() -> tuple[str, ...]:
    """All methods, sorted."""
    found = plugins.names(__name__)
    return tuple(sorted((*found, *filter(None, map(_with_horizon, found)))))


def method(name: str) -> Method:
    """A method by its name.

    Raises:
        UsageError: there is none.
    """
    sequence = name.removesuffix(_HORIZON) + _SEQUENCE
    if sequence in plugins.names(__name__) and name == _with_horizon(sequence):
        return UpToHorizon(name)
    return plugins.module(__name__, name)


def _with_horizon(name: str) -> str | None:
    if name.endswith(_SEQUENCE) and hasattr(plugins.module(__name__, name), "contrasts"):
        return name.removesuffix(_SEQUENCE) + _HORIZON
    return None
