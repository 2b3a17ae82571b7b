"""What each look said of each effect, as rows of CSV: for spreadsheets, and pictures of one's own.

Numbers are unrounded; what is infinite or unknown is empty.
"""

import csv
import io
import math
from collections.abc import Iterator

from abctl.core.analysis import Analysis, Comparison
from abctl.core.look import Look
from abctl.core.time import format_moment
from abctl.foreign import in_one_line
from abctl.stats.estimate import Estimate

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
