"""What an analysis says of segments, such as countries: frozen data, which decides nothing."""

from dataclasses import dataclass

from abctl.stats.estimate import Estimate, NotEstimable
from abctl.stats.srm import SrmResult


@dataclass(frozen=True)
class SegmentEffect:
    """A treatment against the control in one metric, among the units of one segment.

    >>> from abctl.stats.estimate import Remark
    >>> none = NotEstimable("welch", Remark("noVariance"))
    >>> SegmentEffect("revenue", "treatment", none, p_adjusted=None, differs=False).metric
    'revenue'

    Attributes:
        result: two-sided, at the level that Holm leaves to it.
        p_adjusted: with all segments and treatments of the metric accounted for (Holm).
        differs: whether any difference is proven.
    """

    metric: str
    treatment: str
    result: Estimate | NotEstimable
    p_adjusted: float | None
    differs: bool


@dataclass(frozen=True)
class Segment:
    """Units that have one value of a column.

    >>> from abctl.stats.estimate import Remark
    >>> unknown = NotEstimable("chi-squared", Remark("tooFewPolls", {"needed_count": 16}))
    >>> Segment("country", "DE", (40.0, 38.0), True, unknown, None, ()).label
    'country=DE'
    >>> Segment("country", None, (40.0, 38.0), True, unknown, None, ()).label
    'country is empty'

    Attributes:
        value: of the column; None where it is empty.
        units: of each variant, the control first.
        few: whether it has too few units to be judged; then there are no effects.
        split: whether its units follow the split.
        p_adjusted: of that, with all segments that are judged accounted for (Holm).
        effects: of each metric and treatment.
    """

    column: str
    value: str | None
    units: tuple[float, ...]
    few: bool
    split: SrmResult | NotEstimable
    p_adjusted: float | None
    effects: tuple[SegmentEffect, ...]

    @property
    def label(self) -> str:
        """Column and value."""
        return f"{self.column} is empty" if self.value is None else f"{self.column}={self.value}"

    @property
    def mismatch(self) -> bool:
        """Whether its units contradict the split."""
        known = isinstance(self.split, SrmResult) and self.p_adjusted is not None
        return known and self.p_adjusted <= self.split.alpha  # type: ignore[operator,union-attr]
