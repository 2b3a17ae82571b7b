"""Series of a metrics page: values by labels, and their lines ready made."""

from collections.abc import Sequence
from itertools import accumulate

_RENARD = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
EDGES_SECONDS = (*(float(f"{r}e{power}") for power in range(-5, 1) for r in _RENARD), 10.0)
"""Upper edges of the latency histogram, 10 us to 10 s: each about 26% above the last.

A linear model answers within 50 us; a lowest edge above that would hold all there is to compare.
"""


class Table:
    """The series of one name: values by the values of their labels, and their lines ready made.

    prometheus_client makes a page of a thousand series in milliseconds, in which no request is
    answered.
    """

    def __init__(self, name: str, kind: str, meaning: str, labels: Sequence[str]) -> None:
        self._family = name.removesuffix("_total")
        self._name, self._kind, self._meaning = name, kind, meaning
        self._labels = labels
        self._heads: list[str] = []
        self.values: list[float] = []

    def add(self, *labels: str, suffix: str = "", more: str = "") -> int:
        """A new series at zero; its index in `values`."""
        inside = ",".join([pair(*each) for each in zip(self._labels, labels, strict=True)])
        self._heads.append(f"{self._name}{suffix}{{{inside}{more}}} ")
        self.values.append(0.0)
        return len(self.values) - 1

    def text(self, open_metrics: bool) -> str:
        """Its part of a page."""
        name = self._family if open_metrics else self._name
        lines = [f"# HELP {name} {self._meaning}\n# TYPE {name} {self._kind}\n"]
        lines += [
            f"{head}{value!r}\n" for head, value in zip(self._heads, self.values, strict=True)
        ]
        return "".join(lines)


class Histogram(Table):
    """Latencies by upper edges; what is counted is not cumulated, what is shown is."""

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], edges: Sequence[float]
    ) -> None:
        super().__init__(name, "histogram", meaning, labels)
        self._edges = edges
        self._each: list[list[float]] = []
        self._sums: list[float] = []

    def start(self, *labels: str) -> int:
        """The series of one histogram more, at zero; which one it is."""
        self._each.append([0.0] * (len(self._edges) + 1))
        self._sums.append(0.0)
        for edge in (*map(repr, self._edges), "+Inf"):
            self.add(*labels, suffix="_bucket", more=f',le="{edge}"')
        self.add(*labels, suffix="_count")
        self.add(*labels, suffix="_sum")
        return len(self._each) - 1

    def observe(self, nth: int, cell: int, seconds: float) -> None:
        """Count one, which is in that cell of the nth histogram."""
        self._each[nth][cell] += 1.0
        self._sums[nth] += seconds

    def text(self, open_metrics: bool) -> str:
        """Its part of a page."""
        self.values = []
        for cells, sum_ in zip(self._each, self._sums, strict=True):
            upto = list(accumulate(cells))
            self.values += (*upto, upto[-1], sum_)
        return super().text(open_metrics)


def pair(label: str, value: str) -> str:
    """A label and its value, as a page has them."""
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{label}="{escaped}"'
