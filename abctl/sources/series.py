"""Series of raw samples, and outlines of them; in the form in which Prometheus answers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abctl.core.selector import plain_labels
from abctl.errors import SourceError
from abctl.sources import Outline, Series, Source


class NotACounterError(SourceError):
    """Series that are no counters; those of other selectors may well be."""


Milliseconds = NDArray[np.int64]
Key = frozenset[tuple[str, str]]


def whole_ms(seconds: NDArray[np.float64]) -> Milliseconds:
    """The unit in which Prometheus counts time."""
    return np.rint(seconds * 1000.0).astype(np.int64)


def key_of(labels: Mapping[str, str]) -> Key:
    """What is the same for the same series."""
    return frozenset(labels.items())


def series_of(found: Sequence[Mapping[str, Any]]) -> list[Series]:
    """The entries of a matrix.

    Raises:
        SourceError: a native histogram.
        LookupError, ValueError, TypeError: another form than that of Prometheus.
    """
    for entry in found:
        if "histograms" in entry and "values" not in entry:
            raise NotACounterError(
                f"{entry['metric'].get('__name__', 'a series')} is a native histogram",
                "expose classic buckets as well: always_scrape_classic_histograms: true",
            )
    # All at once: most series are short.
    samples = [sample for entry in found for sample in entry["values"]]
    times = np.array([sample[0] for sample in samples], np.float64)
    values = np.array([float(sample[1]) for sample in samples])
    ends = np.cumsum([len(entry["values"]) for entry in found]).tolist()
    return [
        Series(plain_labels(entry["metric"]), times[begin:end], values[begin:end])
        for entry, begin, end in zip(found, [0, *ends], ends, strict=False)
    ]


def runs(edges: Milliseconds) -> Iterator[tuple[int, int]]:
    """Stretches [first, last) of cells that are equally long, for one question each."""
    starts = [0, *(np.flatnonzero(np.diff(np.diff(edges))) + 1).tolist(), len(edges) - 1]
    yield from pairwise(starts)


def outline_of_matrix(
    found: Sequence[Series], drops: Mapping[Key, float] | None, edges: Milliseconds
) -> Outline:
    """The last values at the ends of cells, as an outline.

    Args:
        found: each at ends of cells; one series may come in pieces.
        drops: of series, by `key_of` their labels without the name; None if not counted.
        edges: of the cells.

    Raises:
        SourceError: values for other times than were asked for, or such as no counter has.
    """
    rows: dict[Key, int] = {}
    of_series = [rows.setdefault(key_of(series.labels), len(rows)) for series in found]
    labels = {number: series.labels for number, series in zip(of_series, found, strict=True)}
    row = np.repeat(np.array(of_series, np.int64), [len(series.times) for series in found])
    at = whole_ms(np.concatenate([np.array([]), *(series.times for series in found)]))
    values = np.concatenate([np.array([]), *(series.values for series in found)])
    end = np.searchsorted(edges, at)
    if not np.all((end > 0) & (edges[np.minimum(end, len(edges) - 1)] == at)):
        raise SourceError(
            "the source answered for other times than requested",
            "does something between abctl and it align queries to their step? turn that off",
        )
    require_counters(found)
    last = np.full((len(rows), len(edges) - 1), np.nan)
    last[row, end - 1] = values
    counted = np.full(len(rows), np.inf if drops is None else 0.0)
    # A number in a label that came to be written otherwise: which of both was last, nobody said.
    cell = row * last.shape[1] + end - 1
    counted[np.unique(row[np.bincount(cell, minlength=1)[cell] > 1])] = np.inf
    if drops:
        for number, each in labels.items():
            unnamed = {k: v for k, v in each.items() if k != "__name__"}
            counted[number] += drops.get(key_of(unnamed), 0.0)
    return Outline(list(labels.values()), last, counted)


def merged(one: Outline, other: Outline) -> Outline:
    """The outlines of the cells before and after some edge, as one."""
    rows = {key_of(labels): i for i, labels in enumerate(one.labels)}
    labels = list(one.labels)
    for each in other.labels:
        if key_of(each) not in rows:
            rows[key_of(each)] = len(labels)
            labels.append(each)
    width = one.last.shape[1]
    last = np.full((len(labels), width + other.last.shape[1]), np.nan)
    last[: len(one.labels), :width] = one.last
    drops = np.zeros(len(labels))
    drops[: len(one.labels)] = one.drops
    places = [rows[key_of(each)] for each in other.labels]
    last[places, width:] = other.last
    drops[places] += other.drops
    return Outline(labels, last, drops)


def joined(pieces: Sequence[Series]) -> Series:
    """Pieces of one series, or of series that followed each other, as one; a time counts once."""
    if len(pieces) == 1 and (pieces[0].times[1:] > pieces[0].times[:-1]).all():
        return pieces[0]
    times, first = np.unique(np.concatenate([s.times for s in pieces]), return_index=True)
    labels = {k: v for piece in reversed(pieces) for k, v in piece.labels.items()}
    return Series(labels, times, np.concatenate([s.values for s in pieces])[first])


def require_counters(found: Sequence[Series]) -> None:
    """Make sure that no value is one that no counter has.

    Raises:
        NotACounterError: a value that is negative or not a number.
    """
    values = np.concatenate([np.array([]), *(series.values for series in found)])
    if not np.all((values >= 0) & (values < np.inf)):
        for series in found:
            require_counter(series)


def require_counter(series: Series) -> None:
    """Make sure that values are such as a counter has, in the order of time.

    Raises:
        NotACounterError: a value that is negative or not a number.
        SourceError: times that do not ascend.
    """
    times, values = series.times, series.values
    if len(values) and not (values.min() >= 0 and values.max() < np.inf):
        bad = values[~(np.isfinite(values) & (values >= 0))][0]
        raise NotACounterError(
            f"{_name(series)}: value {bad:g}, a counter is finite and not negative",
            "check that the selector names a counter (..._total, ..._count, ..._bucket)",
        )
    if (times[1:] <= times[:-1]).any():
        raise SourceError(
            f"{_name(series)}: samples are not in order of time",
            "the source is damaged, or is not Prometheus: try another one with the same samples",
        )


def _name(series: Series) -> str:
    """As PromQL writes it."""
    others = [f'{k}="{v}"' for k, v in series.labels.items() if k != "__name__"]
    return f"{series.labels.get('__name__', 'a counter')}{{{','.join(others)}}}"


def outline_of(source: Source, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
    """An outline, for a source that has every sample at hand; see `Source`."""
    labels, last, drops = [], [], []
    for series in source.series(selector, since, float(edges[-1])):
        upto = np.searchsorted(series.times, edges, side="right")
        here = upto[1:] > upto[:-1]
        if here.any():
            labels.append(series.labels)
            last.append(np.where(here, series.values[upto[1:] - 1], np.nan))
            drops.append(float(np.count_nonzero(np.diff(series.values) < 0)))
    return Outline(labels, np.array(last).reshape(len(labels), len(edges) - 1), np.array(drops))
