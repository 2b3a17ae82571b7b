"""Pictures of effects: how each and its interval moved, against no difference, margin and mde."""

import math
from collections.abc import Sequence

from abctl.core import figures
from abctl.core.analysis import Analysis, Comparison, MetricResult
from abctl.core.look import Look
from abctl.core.time import format_moment
from abctl.report.effects import named, of_table
from abctl.report.over_time import Level, around, known_looks, levels, reach
from abctl.report.page.markup import Markup, folded, table, tag
from abctl.report.page.svg import HEIGHT, Frame, Label, Point, moments, picture, ticks
from abctl.stats.estimate import Estimate

_BAR_HEIGHT = 120.0
_MOST_ROWS = 24


def effect_figure(
    found: Analysis, metric: MetricResult, comparison: Comparison, name: str
) -> Markup | None:
    """An effect over time, or now if there was one look; None where there is none to draw.

    Args:
        found: the analysis.
        metric: of what.
        comparison: with which treatment.
        name: of the picture.
    """
    effect = comparison.effect
    if not isinstance(effect, Estimate):
        return None
    held = levels(metric, comparison, effect)
    looks = known_looks(comparison)
    title = f"{named(found, metric, comparison)}: effect and its interval"
    if len(looks) > 1:
        said = f"{title}, at each look"
        return tag(
            "figure",
            tag("figcaption", f"{said} ({_valid(found, effect)})"),
            _over_time(metric, looks, held, (name, said)),
            folded("as a table", _table(found, metric, said, looks)),
        )
    ends = [figures.difference(end, metric.unit) for end in effect.interval]
    row = [figures.difference(effect.effect, metric.unit), *ends]
    rows = [row, *([each.text, "", ""] for each in held)]
    return tag(
        "figure",
        tag("figcaption", f"{title} ({_valid(found, effect)})"),
        _now(metric, effect, held, (name, title)),
        folded("as a table", table(title, ["EFFECT", "FROM", "TO"], rows)),
    )


def _valid(found: Analysis, effect: Estimate) -> str:
    level = f"two-sided, {100 * (1.0 - effect.alpha):.4g}%"
    if of_table(found):
        return f"{level}, for one look"
    if found.test == "fixed":
        return f"{level}, for one look at the planned end"
    return f"{level}, valid at all looks together; what decides is one-sided"


def _over_time(
    metric: MetricResult, looks: Sequence[Look], held: Sequence[Level], called: tuple[str, str]
) -> Markup:
    known = all(each.at is not None for each in looks)
    xs = [each.at if each.at is not None and known else each.n for each in looks]
    frame = Frame((xs[0], xs[-1]), reach(looks, held))
    marks = moments(*frame.x) if known else [(x, f"{x:,.0f}") for x in ticks(*frame.x)]
    low = [(x, each.interval[0]) for x, each in zip(xs, looks, strict=True)]
    high = [(x, each.interval[1]) for x, each in zip(xs, looks, strict=True)]
    line: list[Point] = [(x, each.effect) for x, each in zip(xs, looks, strict=True)]
    last = looks[-1]
    now = Label(last.effect, figures.difference(last.effect, metric.unit), "s0")
    ends = [figures.difference(each, metric.unit) for each in last.interval]
    described = f"The last look says {now.text}, from {ends[0]} to {ends[1]}; "
    described += f"{', '.join(each.text for each in held)}. Better is {_good(metric)}."
    return picture(
        *called,
        described,
        HEIGHT,
        *frame.axis_y(lambda value: _mark(value, metric)),
        *frame.axis_x(marks),
        frame.band(low, high, "band"),
        *(frame.level(each.value, each.what) for each in held),
        frame.line(line, "line s0"),
        frame.dot(line[-1], "dot s0"),
        *frame.labels([now, *(Label(each.value, each.text, each.what) for each in held)]),
    )


def _mark(value: float, metric: MetricResult) -> str:
    """A round value beside an axis."""
    if not value or metric.unit != "share":
        return figures.difference(value, metric.unit) if value else "0"
    return f"{value * 100:+.4g}pp"


def _good(metric: MetricResult) -> str:
    return "up" if metric.direction == "increase" else "down"


def _now(
    metric: MetricResult, effect: Estimate, held: Sequence[Level], called: tuple[str, str]
) -> Markup:
    """One interval, from left to right."""
    finite = [end for end in effect.interval if math.isfinite(end)]
    frame = Frame(around([effect.effect, *finite, *(each.value for each in held)]), (0.0, 1.0))
    frame = Frame(frame.x, frame.y, _BAR_HEIGHT)
    low, high = effect.interval
    said = figures.difference(effect.effect, metric.unit)
    ends = figures.interval([figures.difference(end, metric.unit) for end in effect.interval])
    marks = [(x, _mark(x, metric)) for x in ticks(*frame.x)]
    lines = zip(held, (0.95, 0.78, 0.05), strict=False)
    return picture(
        *called,
        f"{said}, from {ends}; {', '.join(each.text for each in held)}.",
        _BAR_HEIGHT,
        *frame.axis_x(marks),
        frame.line([(low, 0.45), (high, 0.45)], "interval s0"),
        *(frame.moment(each.value, each.what) for each in held),
        frame.dot((effect.effect, 0.45), "dot s0"),
        frame.words((effect.effect, 0.25), said, "s0"),
        *(frame.words((each.value, y), each.text, each.what, "start") for each, y in lines),
    )


def _table(found: Analysis, metric: MetricResult, title: str, looks: Sequence[Look]) -> Markup:
    units = "REQUESTS" if found.unit == "request" else "COUNTED"
    head = ["UTC", "EFFECT", "FROM", "TO", "P", units]
    step = -(-len(looks) // _MOST_ROWS)
    kept = [*reversed(looks[::-1][::step])]
    few = f"; one of {step}, all are in the JSON of this page" if step > 1 else ""
    return table(title + few, head, [_row(metric, each) for each in kept])


def _row(metric: MetricResult, look: Look) -> list[str]:
    when = "-" if look.at is None else format_moment(look.at, "seconds")
    numbers = [figures.difference(each, metric.unit) for each in (look.effect, *look.interval)]
    return [when, *numbers, f"{look.p:.2g}", f"{look.n:,.0f}"]
