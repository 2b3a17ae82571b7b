"""What the variants really got, counted since the last change of the split."""

import numpy as np
import pytest

from abctl.core.epochs import Entry, Ledger
from abctl.core.split import Split
from abctl.services.observed import observed
from abctl.services.telemetry import telemetry
from abctl.sources import Series

EVEN = Split(("control", "treatment"), (5_000, 5_000))


class Steady:
    """A request a second for the control, two for the treatment, scraped every second."""

    place = "here"

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        if "ab_requests_total" not in selector:
            return []
        times = np.arange(max(1.0, np.floor(start) + 1.0), end + 0.5)
        speed = 2.0 if 'variant="treatment"' in selector else 1.0
        labels = {"__name__": "ab_requests_total", "job": "a", "instance": str(speed)}
        return [Series(labels, times, speed * times)]


@pytest.fixture
def ledger() -> Ledger:
    wanted, done = (Entry(at, "me", None, EVEN, "", phase) for at, phase in _BEGIN)
    return Ledger("{}", (wanted, done))


_BEGIN = ((100.0, "intent"), (100.0, "applied"))


def test_it_counts_from_the_end_of_settling(make_experiment, ledger) -> None:
    found = observed(make_experiment(), ledger, Steady(210.0), telemetry(make_experiment()))

    # Settling takes 10 s, and a poll that is still open does not count yet.
    assert found is not None
    assert 95 <= found["control"] <= 100
    assert found["treatment"] == 2 * found["control"]


def test_while_it_settles_nothing_counts(make_experiment, ledger) -> None:
    assert observed(make_experiment(), ledger, Steady(105.0), telemetry(make_experiment())) is None
