"""Pictures as SVG: axes, lines, bands and labels; their colors are those of the page's style."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from abctl.core.time import format_moment
from abctl.report.page.markup import Markup, tag

WIDTH, HEIGHT = 560.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 124.0, 12.0, 30.0
_LABEL_APART = 14.0
_BESIDE = 6.0
_TICKS = 4
_MINUTE = 60
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
Point = tuple[float, float]


@dataclass(frozen=True)
class Label:
    """Words at the right end of a line, at the height of a value."""

    y: float
    text: str
    class_: str


@dataclass(frozen=True)
class Frame:
    """Where values are in a picture.

    Args:
        x, y: from the least to the most.
        height: of the whole picture.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    height: float = HEIGHT

    def at(self, x: float, y: float) -> Point:
        """The place of a point; one that lies outside is at the edge."""
        across, down = _within(x, self.x), _within(y, self.y)
        deep = self.height - _TOP - _BOTTOM
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), _TOP + (1.0 - down) * deep

    def line(self, points: Sequence[Point], class_: str) -> Markup:
        """A line through points."""
        return tag("polyline", points=_places(self.at(*each) for each in points), class_=class_)

    def band(self, low: Sequence[Point], high: Sequence[Point], class_: str) -> Markup:
        """What is between two lines."""
        around = (self.at(*each) for each in (*high, *reversed(low)))
        return tag("polygon", points=_places(around), class_=class_)

    def level(self, y: float, class_: str) -> Markup:
        """A line across."""
        (x1, at), (x2, _) = self.at(self.x[0], y), self.at(self.x[1], y)
        return tag("line", x1=x1, x2=x2, y1=at, y2=at, class_=class_)

    def moment(self, x: float, class_: str) -> Markup:
        """A line from top to bottom."""
        (at, y1), (_, y2) = self.at(x, self.y[0]), self.at(x, self.y[1])
        return tag("line", x1=at, x2=at, y1=y1, y2=y2, class_=class_)

    def box(self, start: Point, end: Point, class_: str) -> Markup:
        """A rectangle between two corners."""
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        place = {"x": min(x1, x2), "y": min(y1, y2)}
        return tag("rect", **place, width=abs(x2 - x1), height=abs(y2 - y1), class_=class_)

    def dot(self, point: Point, class_: str) -> Markup:
        """A mark at a point."""
        x, y = self.at(*point)
        return tag("circle", cx=x, cy=y, r=4.0, class_=class_)

    def words(self, point: Point, text: str, class_: str = "", anchor: str = "middle") -> Markup:
        """Words at a point."""
        x, y = self.at(*point)
        beside = _BESIDE if anchor == "start" else 0.0
        place = {"x": x + beside, "y": y + 4.0}
        return tag("text", text, **place, text_anchor=anchor, class_=class_ or None)

    def labels(self, labels: Sequence[Label]) -> Iterator[Markup]:
        """Words beside the right edge, none over another; nothing where not all have room."""
        placed = sorted(((self.at(self.x[1], each.y)[1] + 4.0, each) for each in labels), key=_low)
        heights = list[float]()
        for height, _ in placed:
            heights.append(max([height, *(each + _LABEL_APART for each in heights[-1:])]))
        most = self.height - _BOTTOM + 8.0
        for i in reversed(range(len(heights))):
            heights[i] = min(heights[i], most)
            most = heights[i] - _LABEL_APART
        if heights and heights[0] < _TOP:
            return
        for height, (_, label) in zip(heights, placed, strict=True):
            place = {"x": WIDTH - _RIGHT + 6.0, "y": height}
            yield tag("text", _short(label.text), **place, class_=label.class_)

    def axis_y(self, written: Callable[[float], str]) -> Iterator[Markup]:
        """Values at the left, with fine lines across."""
        for value in ticks(*self.y):
            yield self.level(value, "grid")
            _, y = self.at(self.x[0], value)
            yield tag("text", written(value), x=_LEFT - 6.0, y=y + 4.0, text_anchor="end")

    def axis_x(self, marks: Sequence[tuple[float, str]]) -> Iterator[Markup]:
        """Words below."""
        for value, text in marks:
            x, _ = self.at(value, self.y[0])
            yield tag("text", text, x=x, y=self.height - 10.0, text_anchor="middle")


def picture(name: str, title: str, description: str, height: float, *parts: Markup) -> Markup:
    """A picture with its words for those who cannot see it.

    Args:
        name: of no other picture of the page.
        title: what it is.
        description: what it shows, in a sentence.
        height: in the units of the frame.
        parts: what is drawn, the hindmost first.
    """
    said = tag("title", title, id=f"{name}-t"), tag("desc", description, id=f"{name}-d")
    box = f"0 0 {WIDTH:g} {height:g}"
    by = f"{name}-t {name}-d"
    return tag("svg", said, parts, viewBox=box, role="img", aria_labelledby=by)


def ticks(low: float, high: float, count: int = _TICKS) -> list[float]:
    """Round numbers between two values."""
    rough = (high - low) / count
    if not math.isfinite(rough) or rough <= 0.0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _STEPS if power * each >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def moments(start: float, end: float) -> list[tuple[float, str]]:
    """Marks of an axis of times, in UTC: by clock, or by day where it is of days."""
    rough = max(end - start, 1.0) / _TICKS
    days = math.ceil(rough / _TIMES[-1]) * _TIMES[-1]
    step = float(next((each for each in _TIMES if each >= rough), days))
    shown = slice(5, 10) if step >= _TIMES[-1] else slice(11, 16 if step >= _MINUTE else 19)
    first, last = math.ceil(start / step), math.floor(end / step)
    times = [number * step for number in range(first, last + 1)]
    return [(each, format_moment(each, "seconds")[shown]) for each in times]


def _within(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5


def _places(points: Iterator[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _low(placed: tuple[float, Label]) -> float:
    return placed[0]


def _short(text: str) -> str:
    most = 15
    return text if len(text) <= most else f"{text[: most - 1]}…"
