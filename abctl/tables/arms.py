"""From what DuckDB answers to what was counted of a variant, of all units or of a segment."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from abctl.stats.summary import Histogram
from abctl.tables.counted import Arm, Missing, Sums
from abctl.tables.question import Question
from abctl.tables.written import printable

_PER_METRIC = 7
_UNSEEN = Missing(0, 0, 0, "", 0)
Cells = Mapping[int, Mapping[str, Histogram]]


def histograms(rows: Iterable[Sequence[Any]], edges: tuple[float, ...]) -> dict[str, Histogram]:
    """By variant, from its cells."""
    found = dict[str, Histogram]()
    for name, cells in rows:
        counts = [float(cells.get(edge, 0)) for edge in edges]
        beyond = sum(float(n) for edge, n in cells.items()) - sum(counts)
        found[name] = Histogram(np.array([[*counts, beyond]]), edges)
    return found


def arm_of(
    question: Question,
    name: str,
    sums: Sequence[Any] | None,
    cells: Cells,
    *,
    missing: tuple[Missing, ...] = (),
    mixed: int = 0,
) -> Arm:
    """What was counted of a variant."""
    each = [_sums(sums, n) for n in range(2 * len(question.metrics))]
    return Arm(
        name=printable(name),
        rows=float(sums[1]) if sums else 0.0,
        units=float(sums[0]) if sums else 0.0,
        mixed=float(mixed),
        values=tuple(each[::2]),
        missing_sums=tuple(each[1::2]),
        missing=missing or (_UNSEEN,) * len(question.metrics),
        cells={i: by.get(name, Histogram(np.zeros((1, 2)), (0.0,))) for i, by in cells.items()},
    )


def _sums(row: Sequence[Any] | None, n: int) -> Sums:
    if row is None:
        return Sums(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    begin = 2 + n * _PER_METRIC
    return Sums(*(float(value or 0) for value in row[begin : begin + _PER_METRIC]))
