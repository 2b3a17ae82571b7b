"""What the variants really got, counted since the last change of the split."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from abctl.core.ledger import Entry, Ledger
from abctl.core.outcome import Outcome
from abctl.core.split import Split
from abctl.platforms import envoy
from abctl.session import status
from abctl.session.analyze import telemetry
from abctl.session.session import Session
from abctl.session.status import counted, observed
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of

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


class Remembered(Steady):
    """What it says may be kept; tells for how many seconds it was asked."""

    def __init__(self, now: float, cached_as: str | None = "steady") -> None:
        super().__init__(now)
        self.cached_as, self.asked_seconds = cached_as, 0.0

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        self.asked_seconds += end - start
        found = super().series(selector, start, end)
        if selector.startswith("process_start_time_seconds"):
            times = np.arange(max(1.0, np.floor(start) + 1.0), end + 0.5)
            labels = ({"job": "a", "instance": instance} for instance in ("1.0", "2.0"))
            return [Series(each, times, np.zeros(len(times))) for each in labels]
        return found

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return outline_of(self, selector, edges, since)


def seen(experiment, ledger, source, asked):
    return observed(experiment, ledger, source, asked, source.now())


@pytest.fixture
def ledger() -> Ledger:
    wanted, done = (Entry(at, "me", None, EVEN, "", phase) for at, phase in _BEGIN)
    return Ledger("{}", (wanted, done))


_BEGIN = ((100.0, "intent"), (100.0, "applied"))


def test_it_counts_from_the_end_of_settling(make_experiment, ledger) -> None:
    found = seen(make_experiment(), ledger, Steady(210.0), telemetry(make_experiment()))

    # Settling takes 10 s, and a poll that is still open does not count yet.
    assert found is not None
    assert 95 <= found["control"] <= 100
    assert found["treatment"] == 2 * found["control"]


def test_another_look_reads_what_is_new(make_experiment, ledger, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    day, experiment = 86_400.0, make_experiment()
    asked = telemetry(experiment)
    looks = [Remembered(day), Remembered(day + 3600.0), Remembered(day + 3600.0, None)]
    found = [seen(experiment, ledger, look, asked) for look in looks]
    assert found[0] is not None
    assert found[1] == found[2]
    assert found[1] != found[0]
    # What is over for an hour is not asked for again, but for a part that is checked.
    assert looks[1].asked_seconds < 0.2 * looks[0].asked_seconds


def test_while_it_settles_nothing_counts(make_experiment, ledger) -> None:
    assert seen(make_experiment(), ledger, Steady(105.0), telemetry(make_experiment())) is None


def test_after_a_shift_nothing_of_the_old_split_is_told(make_experiment, ledger) -> None:
    shift = (
        Entry(at, "me", EVEN, EVEN, "", phase)
        for at, phase in ((300.0, "intent"), (301.0, "applied"))
    )
    later = Ledger("{}", (*ledger.entries, *shift))
    asked = telemetry(make_experiment())
    assert seen(make_experiment(), ledger, Steady(300.0), asked)
    assert seen(make_experiment(), Ledger("{}", later.entries[:3]), Steady(300.5), asked) is None
    assert seen(make_experiment(), later, Steady(305.0), asked) is None
    found = seen(make_experiment(), later, Steady(321.0), asked)
    assert found is not None
    assert found["control"] <= 10


def test_the_source_is_asked_once_what_time_it_is(make_experiment, ledger, monkeypatch) -> None:
    class Asked(Steady):
        times = 0

        def now(self) -> float:
            self.times += 1
            return super().now()

        def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
            return outline_of(self, selector, edges, since)

    source = Asked(210.0)
    monkeypatch.setattr(status, "source_of", lambda _: source)
    session = Session(None, envoy, make_experiment(), clock=source.now)
    found = counted(session, SimpleNamespace(carrier={}, ledger=ledger, drifted=False))
    assert found.counts
    assert found.left_out
    assert source.times == 1


def test_a_collector_that_nobody_scrapes_is_told(make_experiment, ledger, monkeypatch) -> None:
    outcomes = (Outcome("click", "binary"),)
    experiment = replace(make_experiment(), outcomes=outcomes)
    source = Steady(210.0)
    monkeypatch.setattr(source, "outline", lambda *each: outline_of(source, *each), raising=False)
    monkeypatch.setattr(status, "source_of", lambda _: source)
    session = Session(None, envoy, experiment, clock=source.now)
    found = counted(session, SimpleNamespace(carrier={}, ledger=ledger, drifted=False))
    assert [reason.code for reason in found.silent] == ["collectorNotScraped"]
