"""Effects, and what each look said of them, as rows: for spreadsheets, frames, one's own pictures.

Numbers are unrounded; in CSV what is infinite or unknown is empty.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

from abctl.core.analysis import Analysis, ClaimKind, Comparison, MetricResult
from abctl.core.look import Look
from abctl.core.time import format_moment
from abctl.foreign import in_one_line
from abctl.stats.estimate import Estimate

_EFFECTS = (
    *("metric", "role", "treatment", "control_value", "treatment_value", "effect", "lower"),
    *("upper", "lift", "p", "better", "harm", "non_inferior", "n_control", "n_treatment"),
    *("method", "not_estimable"),
)
HEAD = ("metric", "treatment", "at", "effect", "lower", "upper", "p", "n")
# A spreadsheet takes what begins with these for a formula.
_FORMULA = ("=", "+", "-", "@")


def path_rows(found: Analysis) -> str:
    """A line for each look at each effect, the oldest first, below a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(_rows(found))
    return text.getvalue()


def effect_columns(found: Analysis) -> dict[str, list[Any]]:
    """By name, a value for each metric of each treatment.

    Intervals and p are two-sided, what is proven is one-sided: None where it is not asked. Where
    nothing can be estimated yet, `not_estimable` has the code of the reason, and numbers are NaN.
    """
    rows = [_effect(metric, each) for metric in found.metrics for each in metric.comparisons]
    return _columns(_EFFECTS, rows)


def look_columns(found: Analysis) -> dict[str, list[Any]]:
    """By name, a value for each look at each effect; `at` is unix seconds, or None."""
    rows = [
        (metric.name, each.treatment, look.at, look.effect, *look.interval, look.p, look.n)
        for metric in found.metrics
        for each in metric.comparisons
        for look in each.path or _only(found, each)
    ]
    return _columns(HEAD, rows)


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _effect(metric: MetricResult, comparison: Comparison) -> tuple[Any, ...]:
    of, now = (metric.name, metric.role, comparison.treatment), comparison.effect
    asked: Sequence[ClaimKind] = ("better", "harm", "non-inferior")
    proven = [comparison.proven(each) if comparison.claim(each) else None for each in asked]
    if not isinstance(now, Estimate):
        return (*of, *[math.nan] * 7, *proven, *now.n, now.method, now.why.code)
    lift = math.nan if now.lift is None else now.lift
    values = (now.control, now.treatment, now.effect, *now.interval, lift, now.p)
    return (*of, *values, *proven, *now.n, now.method, None)


def _rows(found: Analysis) -> Iterator[list[str | float | None]]:
    for metric in found.metrics:
        for comparison in metric.comparisons:
            for look in comparison.path or _only(found, comparison):
                yield [_word(metric.name), _word(comparison.treatment), *_cells(look)]


def _only(found: Analysis, comparison: Comparison) -> tuple[Look, ...]:
    """The one look that there is without a path; none where nothing can be estimated."""
    now = comparison.effect
    if not isinstance(now, Estimate):
        return ()
    return (Look(found.at, now.effect, now.interval, now.p, sum(now.n)),)


def _cells(look: Look) -> list[str | float | None]:
    at = None if look.at is None else format_moment(look.at)
    numbers = (look.effect, *look.interval, look.p, look.n)
    return [at, *(each if math.isfinite(each) else None for each in numbers)]


def _word(text: str) -> str:
    shown = in_one_line(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
