"""From the sums that an engine gives to cells of units, and from cells to their form and back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np

from abctl.forms import DamagedError
from abctl.forms.units import Cells, Segment
from abctl.stats.summary import Array
from abctl.tables import in_engine, unit_sql
from abctl.tables.engine import Adder
from abctl.tables.segments import By
from abctl.tables.unit_sql import Grid, products, values
from abctl.tables.units import Cell, SegmentCells, UnitEvidence
from abctl.tables.warehouse_sql import Asked
from abctl.tables.written import printable

_FEWEST_CAPPED = 100


def cells_of(
    rows: Iterable[Sequence[Any]], evidence: UnitEvidence, buckets: int
) -> tuple[Cell, ...]:
    """What `unit_sql.sums` gave, its buckets together, and of ratios apart as well."""
    asked, found = evidence.asked, dict[Any, list[Sequence[Any]]]()
    for epoch, day, *rest in rows:
        key = (None if epoch is None else int(epoch), day_of(day, evidence.grid), *rest[:2])
        found.setdefault(key, []).append(rest[2:])
    ends = np.cumsum([3, *(_width(asked, i) for i in range(len(asked.metrics)))])
    cells = list[Cell]()
    for key in sorted(found, key=lambda each: (each[0] is None, *each)):
        epoch, day, course, seen = key
        table = np.array([[float(n or 0.0) for n in row[1:]] for row in found[key]])
        at = [in_engine.folded(row[0], buckets) for row in found[key]]
        whole, by_bucket = table.sum(axis=0), dict[int, Array]()
        for i in _ratios(asked):
            begin, width = ends[i], _bucket_width(asked, i)
            by_bucket[i] = np.zeros((width, buckets))
            np.add.at(by_bucket[i].T, at, table[:, begin : begin + width])
        cells.append(
            Cell(
                epoch,
                day,
                course,
                None if seen == -1 else int(seen),
                int(whole[0]),
                int(whole[1]),
                int(whole[2]),
                tuple(np.split(whole, ends[:-1])[1:]),
                by_bucket,
            )
        )
    return tuple(cells)


def segments_of(
    rows: Iterable[Sequence[Any]], evidence: UnitEvidence, by: By, buckets: int
) -> Iterator[SegmentCells]:
    """The same by segments, which come first."""
    found = dict[int, list[Sequence[Any]]]()
    for code, *rest in rows:
        found.setdefault(int(code), []).append(rest)
    for code in sorted(found, key=lambda each: (each < 0, each)):
        cells = cells_of(found[code], evidence, buckets)
        value = by.value(code)
        shown = None if value is None else printable(value)
        yield SegmentCells(printable(by.column), shown, code, cells)


def together(*looks: Iterable[SegmentCells]) -> tuple[SegmentCells, ...]:
    """Segments of several looks, each with all of its cells."""
    found = dict[tuple[str, int], SegmentCells]()
    for each in (segment for look in looks for segment in look):
        key = each.column, each.code
        cells = found[key].cells if key in found else ()
        found[key] = replace(each, cells=(*cells, *each.cells))
    return tuple(found.values())


def segment_forms(found: Iterable[SegmentCells], asked: Asked) -> tuple[Segment, ...]:
    """The form of segments."""
    return tuple(Segment(s.column, s.value, s.code, form_of(s.cells, asked)) for s in found)


def segments_in(forms: Iterable[Segment], asked: Asked, buckets: int) -> tuple[SegmentCells, ...]:
    """The segments of a form.

    Raises:
        DamagedError: as for `cells_in`.
    """
    return tuple(
        SegmentCells(f.column, f.value, f.code, cells_in(f.cells, asked, buckets)) for f in forms
    )


def day_of(found: Any, grid: Grid) -> int:
    """A day as a driver gives it."""
    if isinstance(found, datetime):
        found = found.date()
    elif isinstance(found, str):
        found = date.fromisoformat(found[:10])
    return int((found - grid.first).days)


def caps_of(adding: Adder, evidence: UnitEvidence) -> Mapping[int, float | None]:
    """The caps: those that are shares are settled by the first units, and stay."""
    found = dict[int, float | None]()
    days = [row for row in adding.rows(unit_sql.days()) if row[0] is not None]
    for i, metric in enumerate(evidence.asked.metrics):
        if metric.cap is None:
            continue
        if not metric.cap.of_values:
            found[i] = metric.cap.at
            continue
        needed, units = max(_FEWEST_CAPPED, round(1 / (1 - metric.cap.at))), 0
        found[i] = None
        for _, day, count in sorted(days, key=lambda row: row[1]):
            if not evidence.closed(i, day_of(day, evidence.grid)):
                break
            if (units := units + count) >= needed:
                cap = adding.rows(unit_sql.quantile(i, metric, day))[0][0]
                found[i] = None if cap is None else float(cap)
                break
    return found


def form_of(cells: Sequence[Cell], asked: Asked) -> Cells:
    """The form of cells."""

    def whole(parts: Iterable[Array]) -> Array:
        return np.concatenate([np.zeros(0), *(np.ravel(each) for each in parts)])

    return Cells(
        epoch=tuple(c.epoch for c in cells),
        day=tuple(c.day for c in cells),
        course=tuple(c.course for c in cells),
        seen=tuple(-1 if c.seen is None else c.seen for c in cells),
        units=tuple(c.units for c in cells),
        rows=tuple(c.rows for c in cells),
        wrong=tuple(c.wrong for c in cells),
        sums=tuple(whole(c.sums[i] for c in cells) for i in range(len(asked.metrics))),
        by_bucket=tuple((i, whole(c.by_bucket[i] for c in cells)) for i in _ratios(asked)),
    )


def cells_in(form: Cells, asked: Asked, buckets: int) -> tuple[Cell, ...]:
    """The cells of a form.

    Raises:
        DamagedError: its fields are not of one length, or not of these metrics.
    """
    try:
        if tuple(i for i, _ in form.by_bucket) != _ratios(asked):
            raise DamagedError("cells are of other metrics")
        many = len(form.day)
        sums = [
            each.reshape(many, _width(asked, i))
            for i, each in zip(range(len(asked.metrics)), form.sums, strict=True)
        ]
        of_buckets = {
            i: each.reshape(many, _bucket_width(asked, i), buckets) for i, each in form.by_bucket
        }
        columns = form.epoch, form.day, form.course, form.seen, form.units, form.rows, form.wrong
        return tuple(
            Cell(
                epoch,
                day,
                course,
                None if seen == -1 else seen,
                units,
                rows,
                wrong,
                sums=tuple(each[n] for each in sums),
                by_bucket={i: each[n] for i, each in of_buckets.items()},
            )
            for n, (epoch, day, course, seen, units, rows, wrong) in enumerate(
                zip(*columns, strict=True)
            )
        )
    except ValueError as error:
        raise DamagedError(f"cells: {error}") from None


def _ratios(asked: Asked) -> tuple[int, ...]:
    return tuple(i for i in range(len(asked.metrics)) if "d" in values(asked, i))


def _width(asked: Asked, which: int) -> int:
    names = values(asked, which)
    return 1 + len(names) + len(products(names))


def _bucket_width(asked: Asked, which: int) -> int:
    return 1 + len(values(asked, which))
