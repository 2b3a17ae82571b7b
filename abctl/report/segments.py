"""The results of segments, such as countries, as rows: corrected, and deciding nothing."""

from collections.abc import Iterator

from rich.text import Text

from abctl.core import figures
from abctl.core.analysis import Analysis, MetricResult
from abctl.core.reasons import Reason
from abctl.core.segments import Segment, SegmentEffect
from abctl.report.effects import of_what
from abctl.report.layout import Row, table
from abctl.report.prose import prose
from abctl.stats.estimate import Estimate


def by_segments(found: Analysis) -> Iterator[Text]:
    """A table for each metric, below what it is."""
    for i, (title, rows) in enumerate(segment_rows(found)):
        if i:
            yield Text("")
        yield Text(prose(title))
        yield table(rows, left={"DIFFERS"})


def segment_rows(found: Analysis) -> Iterator[tuple[str, list[Row]]]:
    """What stands above each metric's rows, and the rows."""
    judged = [each for each in found.segments if not each.few]
    for metric in found.metrics:
        rows = [
            _row(found, metric, segment, effect)
            for segment in judged
            for effect in segment.effects
            if effect.metric == metric.name
        ]
        if rows:
            said = f"{of_what(metric)} by segment (decides nothing; P and intervals by Holm):"
            yield (said, rows)


def split_of_segments(found: Analysis) -> str | None:
    """Whether units of segments follow the split; None where there is nothing to say."""
    p = {each.label: each.p_adjusted for each in found.segments if each.p_adjusted is not None}
    if not p:
        return None
    wrong = [each.label for each in found.segments if each.mismatch]
    if wrong:
        return f"split of segments: NOT as ordered: {', '.join(wrong)}"
    least = figures.probability(min(p.values()))
    return f"split of segments: as ordered in {len(p)} (the least {least} by Holm)"


def _row(found: Analysis, metric: MetricResult, segment: Segment, effect: SegmentEffect) -> Row:
    several = len(found.variants) > 2  # noqa: PLR2004 - control and one treatment
    name = f"{segment.label} of {effect.treatment}" if several else segment.label
    at, result = [each.name for each in found.variants].index(effect.treatment), effect.result
    cells = {
        "SEGMENT": name,
        "UNITS": figures.count(segment.units[0] + segment.units[at]),
        "EFFECT": "-",
        "P": "-",
        "DIFFERS": "not estimable",
    }
    if not isinstance(result, Estimate):
        return Row(cells, [Reason.of(result.why).text])
    p = 1.0 if effect.p_adjusted is None else effect.p_adjusted
    ends = [figures.difference(end, metric.unit) for end in result.interval]
    cells |= {
        "EFFECT": f"{figures.difference(result.effect, metric.unit)} ({figures.interval(ends)})",
        "P": figures.probability(p).removeprefix("p ").removeprefix("= "),
        "DIFFERS": "yes" if effect.differs else "-",
    }
    return Row(cells)
