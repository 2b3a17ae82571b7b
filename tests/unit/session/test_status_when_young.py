"""Status at every moment of the first seconds that count: no poll is over yet, or just one."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from abctl.core.experiment import Design, Experiment
from abctl.core.ledger import Entry, Ledger
from abctl.core.selector import Selector
from abctl.forms.plan import locked_plan
from abctl.session.status import left_out, observed
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.spec.measurement import measured

pytestmark = pytest.mark.slow

START, SETTLE = 1_700_000_000.0, 10.0


class Young:
    """Processes that started with the experiment, scraped every so many seconds."""

    place = "here"

    def __init__(self, age: float, interval: float, first: float) -> None:
        self.age, self.interval, self.first = age, interval, first

    def now(self) -> float:
        return START + self.age

    def retention_seconds(self) -> float | None:
        return None

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted, found = Selector.parse(selector), []
        times = np.arange(START + self.first, self.now() + 1e-6, self.interval)
        inside = (times > start) & (times <= end)
        for variant in ("control", "treatment"):
            here = {"variant": variant, "instance": variant, "job": "models"}
            for name, values in (
                ("ab_requests_total", 10.0 * np.arange(len(times))),
                ("process_start_time_seconds", np.full(len(times), START - 1)),
            ):
                labels = here | {"__name__": name, "code": "2xx", "bucket": "0"}
                if wanted.matches(labels) and inside.any():
                    found.append(Series(labels, times[inside], values[inside]))
        return found

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return outline_of(self, selector, edges, since)


@pytest.mark.parametrize("interval", [0.5, 1.0, 2.0, 15.0])
@pytest.mark.parametrize("first", [0.3, 9.9, 10.7])
def test_no_moment_is_too_early(
    make_experiment: Callable[..., Experiment], interval: float, first: float
) -> None:
    made = make_experiment(shares_bp=(5000, 5000), unit="request", key="")
    experiment = dataclasses.replace(made, design=Design(settle_seconds=SETTLE))
    entry = Entry(START, "me", None, experiment.split, "", "applied")
    ledger = Ledger(locked_plan(experiment)).with_entry(entry)
    asked = measured(experiment, None)
    counted = []
    for age in np.round(np.arange(0.0, 20.0, 0.1), 3).tolist():
        source = Young(age, interval, first)
        found = observed(experiment, ledger, source, asked, source.now())
        left_out(experiment, ledger, source, asked, source.now())
        counted.append(0 if not found else sum(found.values()))
    assert counted == sorted(counted)  # what counts is never less at a later look
    assert (counted[-1] > 0) == (interval < 15)
