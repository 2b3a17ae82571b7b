"""Counters whose truth is known, and what plain PromQL makes of them."""

import json
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCRAPE_SECONDS = 30
SECONDS = 1800


@dataclass
class Histories:
    """What model servers counted in the last half hour, in several experiments.

    Everything happens in the middle: nothing in the first two minutes, nothing in the last four.
    """

    end: float = field(default_factory=lambda: float(int(time.time())))
    lines: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def start(self) -> float:
        """When the experiments start."""
        return self.end - SECONDS

    @property
    def scrapes(self) -> NDArray[np.float64]:
        """Times of all scrapes; some are from before the start."""
        return np.arange(self.start - 300, self.end + 1, SCRAPE_SECONDS)

    @property
    def busy(self) -> NDArray[np.float64]:
        """Every second in which something may happen."""
        return np.arange(self.start + 120, self.end - 240)

    def count(
        self,
        experiment: str,
        name: str,
        events: Iterable[float],
        *,
        held: float = 0,
        born: str = "before",
        started: float | None = None,
        **labels: str,
    ) -> None:
        """A counter that counts events at their times.

        Args:
            experiment: whose it is.
            name: of the counter.
            events: their times.
            held: what it held when the experiment started.
            born: `before` it all, with its process (`started`), or with the first `event`.
            started: when its process began to count, from zero.
            labels: of the series.
        """
        ordered = np.sort(np.asarray(list(events), dtype=float))
        scrapes = self.scrapes[self.scrapes >= (started or 0)]
        values = held + np.searchsorted(ordered, scrapes, side="right")
        if born == "event":
            scrapes, values = scrapes[values > 0], values[values > 0]
        self.samples(experiment, name, scrapes, values, **labels)

    def samples(
        self,
        experiment: str,
        name: str,
        times: Sequence[float] | NDArray[np.float64],
        values: Sequence[float] | NDArray[Any],
        **labels: str,
    ) -> None:
        """Samples as they are."""
        named = {"experiment": experiment, "job": "models", **labels}
        inside = ",".join(f'{k}="{v}"' for k, v in named.items())
        self.lines[name] += [
            f"{name}{{{inside}}} {value} {at}" for at, value in zip(times, values, strict=True)
        ]

    def text(self) -> str:
        """All of it, in OpenMetrics."""
        return "".join(f"{line}\n" for each in self.lines.values() for line in each) + "# EOF\n"


def promql(url: str, query: str, at: float) -> dict[str, float]:
    """What Prometheus itself answers, by variant."""
    asked = urllib.parse.urlencode({"query": query, "time": at})
    with urllib.request.urlopen(f"{url}/api/v1/query?{asked}", timeout=60) as answer:
        found = json.load(answer)["data"]["result"]
    return {e["metric"].get("variant", ""): float(e["value"][1]) for e in found}


def total(found: Mapping[str, Any], metric: str, variant: int) -> int:
    """How many events of a metric abctl has counted in a variant, exactly."""
    each = found["variants"][variant]
    return round(each["values"][metric] * each["requests"])
