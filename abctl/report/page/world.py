"""Pictures of what happened: the split over time, the traffic it brought, and latency."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from abctl.analysis.history import Counted, History, Latencies
from abctl.core import figures
from abctl.core.analysis import Analysis
from abctl.core.split import TOTAL_BP, format_share
from abctl.core.time import format_moment
from abctl.report.page.markup import Markup, folded, table, tag
from abctl.report.page.svg import Frame, Label, Point, moments, picture

T = TypeVar("T")

_SPLIT_HEIGHT, _CURVE_HEIGHT = 170.0, 220.0
_COLORS = 7
# From so many times the first value on, an axis has marks at powers of ten alone.
_WIDE = 1_000.0
_READABLE = 0.07
_MOST_ROWS = 30


def _series(number: int) -> str:
    """Of so many colors, and where there are more variants of so many kinds of lines."""
    return f"s{number % _COLORS} k{number // _COLORS}"


def _moment(at: float) -> str:
    return format_moment(at, "seconds")


def split_figure(found: Analysis) -> Markup | None:
    """Which split was in effect when; None before anything counts."""
    epochs = [each for each in found.epochs if each.end > each.start]
    if not epochs:
        return None
    names = [each.name for each in found.variants]
    frame = Frame((epochs[0].start, epochs[-1].end), (0.0, 1.0), _SPLIT_HEIGHT)
    drawn = list[Markup]()
    for epoch in epochs:
        upto = 0.0
        across = (epoch.end - epoch.start) / (frame.x[1] - frame.x[0])
        for number, name in enumerate(names):
            share = epoch.split.ratios.get(name, 0.0)
            if share:
                ends = (epoch.start, upto), (epoch.end, upto + share)
                kind = _series(number) if epoch.counted else "uncounted"
                drawn.append(frame.box(*ends, f"area {kind}"))
                if across > _READABLE and share > _READABLE:
                    middle = (epoch.start + epoch.end) / 2, upto + share / 2
                    drawn.append(frame.words(middle, _percent(share), "in"))
            upto += share
    last, upto, labels = epochs[-1].split.ratios, 0.0, list[Label]()
    for number, name in enumerate(names):
        if share := last.get(name, 0.0):
            labels.append(Label(upto + share / 2, name, _series(number)))
        upto += share
    title = "The split in effect, by the ledger"
    said = f"{len(epochs)} periods; the last is {figures.shares(epochs[-1].split.ratios)}."
    rows = [
        [
            _moment(each.start),
            _moment(each.end),
            *(_percent(each.split.ratios.get(name, 0.0)) for name in names),
            "yes" if each.counted else "no",
        ]
        for each in epochs
    ]
    return tag(
        "figure",
        tag("figcaption", f"{title}; what settles after a change is left out (UTC)"),
        picture(
            "split",
            title,
            said,
            _SPLIT_HEIGHT,
            *frame.axis_x(moments(*frame.x)),
            *drawn,
            *frame.labels(labels),
        ),
        folded("as a table", table(title, ["FROM", "TO", *names, "COUNTED"], rows)),
    )


def traffic_figure(found: Analysis, history: History) -> Markup | None:
    """The share of requests that each treatment got, against its share of the split."""
    traffic = [each for each in history.traffic if each.shares]
    if not traffic:
        return None
    names = [each.name for each in found.variants]
    frame = Frame((traffic[0].start, traffic[-1].end), (0.0, _most(found, traffic)))
    drawn, labels = list[Markup](), list[Label]()
    for number, name in list(enumerate(names))[1:]:
        for epoch in found.epochs:
            share = epoch.split.ratios.get(name, 0.0)
            ends: list[Point] = [(epoch.start, share), (epoch.end, share)]
            drawn.append(frame.line(ends, f"ordered {_series(number)}"))
        got = [((each.start + each.end) / 2, each.shares[number]) for each in traffic]
        drawn.append(frame.line(got, f"line {_series(number)}"))
        labels.append(Label(got[-1][1], name, _series(number)))
    title = "Share of requests that treatments got, and as ordered (broken line)"
    total = [sum(each.requests[i] for each in traffic) for i in range(len(names))]
    said = "; ".join(f"{n} got {t:,.0f} requests" for n, t in zip(names, total, strict=True))
    rows = [
        [_moment(each.start), *(f"{n:,.0f}" for n in each.requests), *map(_percent, each.shares)]
        for each in _few(traffic)
    ]
    head = ["UTC FROM", *names, *(f"{name} %" for name in names)]
    return tag(
        "figure",
        tag("figcaption", f"{title} (UTC)"),
        picture(
            "traffic",
            title,
            f"{said}.",
            frame.height,
            *frame.axis_y(_percent),
            *frame.axis_x(moments(*frame.x)),
            *drawn,
            *frame.labels(labels),
        ),
        folded("as a table", table(title, head, rows)),
    )


def _most(found: Analysis, traffic: Sequence[Counted]) -> float:
    ordered = [share for e in found.epochs for share in list(e.split.ratios.values())[1:]]
    got = [share for each in traffic for share in each.shares[1:]]
    return min(1.0, 1.15 * max([0.05, *ordered, *got]))


def _percent(share: float) -> str:
    basis_points = round(share * TOTAL_BP)
    return format_share(basis_points) if basis_points % 10 == 0 else f"{share:.1%}"


def latency_figure(found: Analysis, history: History) -> Markup | None:
    """How the latency of each variant is distributed, as far as its histogram knows."""
    known = [each for each in history.latencies if any(edge > 0.0 for edge, _ in each.up_to)]
    if not known:
        return None
    reached = [[p for p in each.up_to if p[0] > 0.0 and math.isfinite(p[0])] for each in known]
    span = _span(reached)
    frame = Frame((math.log10(span[0]), math.log10(span[1])), (0.0, 1.0), _CURVE_HEIGHT)
    names = [each.name for each in found.variants]
    drawn, labels = list[Markup](), list[Label]()
    for each, points in zip(known, reached, strict=True):
        kind = _series(names.index(each.variant))
        curve: list[Point] = [(math.log10(x), y) for x, y in points if span[0] <= x <= span[1]]
        drawn.append(frame.line(curve, f"line {kind}"))
        labels.append(Label(curve[-1][1], each.variant, kind))
    title = "Latency: the share of requests that took up to so long"
    said = "; ".join(f"{each.variant}: {each.count:,.0f} requests" for each in known)
    view = found.remarks.get("latency", "")
    return tag(
        "figure",
        tag("figcaption", f"{title}{f' ({view})' if view else ''}"),
        picture(
            "latency",
            title,
            f"{said}.",
            _CURVE_HEIGHT,
            *frame.axis_y(_percent),
            *frame.axis_x([(math.log10(x), figures.value(x, "seconds")) for x in _decades(*span)]),
            *drawn,
            *frame.labels(labels),
        ),
        folded("as a table", _edges(title, known)),
    )


def _span(curves: Sequence[Sequence[Point]]) -> tuple[float, float]:
    """Edges between which the curves rise, and one more on each side."""
    low, high = math.inf, 0.0
    for curve in curves:
        edges = [x for x, _ in curve]
        rising = [i for i, ((_, a), (_, b)) in enumerate(pairwise(curve)) if b > a]
        first = rising[0] if rising else 0
        low, high = (
            min(low, edges[first]),
            max(high, edges[rising[-1] + 1] if rising else edges[-1]),
        )
    return (low, high) if high > low else (low / 2.0, low * 2.0)


def _decades(low: float, high: float) -> list[float]:
    steps = (1.0,) if high / low > _WIDE else (1.0, 3.0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [step * 10.0**power for power in powers for step in steps]
    return [each for each in every if low * 0.999 <= each <= high * 1.001]


def _edges(title: str, known: Sequence[Latencies]) -> Markup:
    every = sorted({edge for each in known for edge, _ in each.up_to})
    by = {each.variant: dict(each.up_to) for each in known}
    rows = [
        [figures.value(edge, "seconds")]
        + [f"{by[n][edge]:.2%}" if edge in by[n] else "-" for n in by]
        for edge in _few(every)
    ]
    return table(title, ["UP TO", *by], rows)


def _few(rows: Sequence[T]) -> Sequence[T]:
    """Some of many rows, and the last one."""
    step = -(-len(rows) // _MOST_ROWS)
    return [*reversed(rows[::-1][::step])]
