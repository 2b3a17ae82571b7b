"""Compares the variants segment by segment: Holm corrects the effects of a metric for one another.

No effect of a segment decides anything. That units of a segment do not follow the split does: then
the variants differ in who they are, even where the whole split is right.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from abctl.analysis.compare import Comparing
from abctl.core.experiment import Metric
from abctl.core.reasons import Reason
from abctl.core.segments import Segment, SegmentEffect
from abctl.core.verdict import units_mismatch
from abctl.evidence.reports import Pair
from abctl.stats.estimate import Estimate, NotEstimable
from abctl.stats.multiplicity import holm, holm_steps
from abctl.stats.srm import SrmResult

FEWEST_UNITS = 100.0
"""That each variant of a segment is expected to have, to be judged."""


@dataclass(frozen=True, eq=False)
class Part:
    """What was counted of the units of one segment.

    Attributes:
        column, value: which segment; None for the units whose column is empty.
        units: of each variant.
        split: the check of their split.
        comparing: what compares the variants among them.
    """

    column: str
    value: str | None
    units: tuple[float, ...]
    split: SrmResult | NotEstimable
    comparing: Comparing

    @property
    def few(self) -> bool:
        """Whether it has too few units to be judged, by the split and not by what came of it."""
        if not isinstance(self.split, SrmResult):
            return True
        return min(each for each in self.split.expected if each) < FEWEST_UNITS


def judged(parts: Iterable[Part], *, often: bool = False) -> tuple[Segment, ...]:
    """What there is to say of each segment.

    Args:
        parts: what was counted of each.
        often: whether it is looked at again, when some of too few units will have enough. Then
            they are of the family from the start, else it would be wrong more often than it says.
    """
    listed = [(part, part.few) for part in parts]
    enough = [part for part, few in listed if not few]
    waiting = [1.0] * (len(listed) - len(enough) if often else 0)
    p = [each.split.p for each in enough if isinstance(each.split, SrmResult)]
    checked: list[float] = holm([*p, *waiting]).tolist()[: len(enough)] if enough else []
    p_of = {id(part): each for part, each in zip(enough, checked, strict=True)}
    effects = dict[int, list[SegmentEffect]]()
    for i in range(len(enough[0].comparing.experiment.metrics) if enough else 0):
        for part, effect in _effects(enough, i, len(waiting)):
            effects.setdefault(id(part), []).append(effect)
    return tuple(
        Segment(
            part.column,
            part.value,
            part.units,
            few,
            part.split,
            p_of.get(id(part)),
            tuple(effects.get(id(part), ())),
        )
        for part, few in listed
    )


def _effects(
    parts: Sequence[Part], which: int, waiting: int
) -> Iterator[tuple[Part, SegmentEffect]]:
    """Of one metric: every segment and treatment, as one family, with those that wait."""
    asked = list[tuple[Part, Metric, str, Pair]]()
    for part in parts:
        metric = part.comparing.experiment.metrics[which]
        pairs = part.comparing.reporting.trusted(metric).pairs
        asked += ((part, metric, treatment, pair) for treatment, pair in pairs.items())
    alpha = parts[0].comparing.experiment.design.alpha
    first = [part.comparing.difference(metric, pair, alpha) for part, metric, _, pair in asked]
    p = [each.p if isinstance(each, Estimate) else 1.0 for each in first]
    p += [1.0] * (waiting * len(asked) // len(parts))
    left = holm_steps(p, alpha)[0].tolist()
    for (part, metric, treatment, pair), p_of, n in zip(asked, holm(p), left, strict=False):
        found = part.comparing.difference(metric, pair, alpha / n)
        adjusted = float(p_of) if isinstance(found, Estimate) else None
        differs = isinstance(found, Estimate) and found.rejects
        differs = differs and adjusted is not None and adjusted <= alpha
        yield part, SegmentEffect(metric.name, treatment, found, adjusted, differs)


def mismatches(segments: Iterable[Segment], names: Sequence[str]) -> Iterator[Reason]:
    """Why the evidence of segments contradicts the split."""
    for each in segments:
        if each.mismatch and isinstance(each.split, SrmResult):
            facts = units_mismatch(replace(each.split, p=each.p_adjusted or 0.0), names).facts
            yield Reason("segmentMismatch", {"column": each.column, "value": each.value, **facts})


def few(segments: Iterable[Segment]) -> Iterator[Reason]:
    """Which segments are not judged."""
    columns = dict[str, list[Segment]]()
    for each in segments:
        if each.few:
            columns.setdefault(each.column, []).append(each)
    for column, found in columns.items():
        counts = {"values_count": len(found), "units_count": sum(sum(s.units) for s in found)}
        yield Reason("segmentsFew", {"column": column, **counts, "needed_count": FEWEST_UNITS})
