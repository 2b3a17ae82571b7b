"""The collector's memory: at any moment it has counted what a whole list of reports says."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_runtime.collector.outcome import Item, Outcome
from ab_runtime.collector.store import Store
from ab_runtime.token import Token

CLICK = Outcome("click", "binary", "once", maturity_ms=100, window_ms=100)
SPENT = Outcome("spent", "number", "many", maturity_ms=250, window_ms=150)
OUTCOMES = {each.name: each for each in (CLICK, SPENT)}
UNITS = ["u1", "u2", "u3", None]


@dataclass(frozen=True)
class Prediction:
    nonce: str
    at_ms: int
    unit: str | None

    @property
    def token(self) -> Token:
        # A unit has one variant and one bucket.
        place = UNITS.index(self.unit)
        variant = ("control", "treatment")[place % 2]
        bucket = str(place) if self.unit else "none"
        return Token(variant, bucket, self.at_ms, self.unit, self.nonce)


@dataclass(frozen=True)
class Report:
    item: Item
    arrives_ms: int


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Report], list[int], int]:
    """Reports in the order of their arrival, moments of restarts, and the end."""
    moments = st.integers(1000, 2000)
    predictions = [
        Prediction(f"n{i}", draw(moments), draw(st.sampled_from(UNITS)))
        for i in range(draw(st.integers(1, 8)))
    ]
    reports = []
    for _ in range(draw(st.integers(0, 25))):
        token = draw(st.sampled_from(predictions)).token
        outcome = draw(st.sampled_from([CLICK, SPENT]))
        value = draw(st.sampled_from([0.0, 1.0] if outcome is CLICK else [-2.0, 0.5, 3.0]))
        arrives_ms = token.at_ms + draw(st.integers(0, 300))
        event = draw(st.sampled_from(["e1", "e2", "e3"]))
        reports.append(Report(Item(token, outcome, value, event, arrives_ms), arrives_ms))
    reports.sort(key=lambda report: report.arrives_ms)
    return reports, draw(st.lists(moments, max_size=3)), draw(st.integers(1000, 2600))


def expected(reports: list[Report], end_ms: int) -> dict[tuple[str, str, str], list[float]]:
    """Counts per outcome, from the definition."""
    seen: set[tuple[str, str, str]] = set()
    found: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0, 0.0])
    for report in reports:
        item, outcome = report.item, report.item.outcome
        key = (outcome.name, item.token.nonce, item.event if outcome.times == "many" else "")
        if report.arrives_ms >= item.token.at_ms + outcome.maturity_ms or key in seen:
            continue
        seen.add(key)
        if item.token.at_ms + outcome.maturity_ms <= end_ms:
            sums = found[outcome.name, item.token.variant, item.token.bucket]
            value = item.value
            for i, each in enumerate((1, value > 0, max(value, 0), max(-value, 0), value * value)):
                sums[i] += each
    return dict(found)


@given(histories())
def test_every_report_counts_once_when_its_prediction_is_due(
    history: tuple[list[Report], list[int], int],
) -> None:
    reports, pages, end_ms = history
    reports = [report for report in reports if report.arrives_ms <= end_ms]
    store = Store(":memory:", OUTCOMES, now_ms=0)
    for report in reports:
        for at_ms in pages:
            if at_ms <= report.arrives_ms:
                store.release(at_ms)
        store.take([report.item], report.arrives_ms)
    store.release(end_ms)
    counted = {
        (c.outcome, c.variant, c.bucket): [c.n, c.hits, c.positive, c.negative, c.sumsq]
        for c in store.counts()
        if c.per == "outcome"
    }
    assert counted == expected(reports, end_ms)


@given(histories())
def test_every_user_counts_once_with_what_came_in_the_window(
    history: tuple[list[Report], list[int], int],
) -> None:
    reports, _, end_ms = history
    reports = [report for report in reports if report.arrives_ms <= end_ms]
    store = Store(":memory:", OUTCOMES, now_ms=0)
    first: dict[str, int] = {}
    for token in (report.item.token for report in reports):
        if token.unit is not None:
            first[token.unit] = min(first.get(token.unit, token.at_ms), token.at_ms)
    for unit, at_ms in sorted(first.items(), key=lambda pair: pair[1]):
        token = Prediction("", at_ms, unit).token
        store.expose(token.variant, [(unit, token.bucket, at_ms)], at_ms)
    values: dict[tuple[str, str], float] = defaultdict(float)
    seen: set[tuple[str, str, str]] = set()
    for report in sorted(reports, key=lambda report: report.arrives_ms):
        item, outcome, unit = report.item, report.item.outcome, report.item.token.unit
        store.take([item], max(report.arrives_ms, store.released_ms))
        key = (outcome.name, item.token.nonce, item.event if outcome.times == "many" else "")
        at_ms = max(report.arrives_ms, max(first.values(), default=0))
        if at_ms >= item.token.at_ms + outcome.maturity_ms or key in seen:
            continue
        seen.add(key)
        if unit is None or at_ms >= first[unit] + outcome.maturity_ms:
            continue
        if item.at_ms < first[unit] + outcome.window_ms:
            values[outcome.name, unit] += item.value
    store.release(end_ms)
    for outcome in OUTCOMES.values():
        due = [u for u, at_ms in first.items() if at_ms + outcome.maturity_ms <= store.released_ms]
        found = [c for c in store.counts() if (c.per, c.outcome) == ("user", outcome.name)]
        assert sum(c.n for c in found) == len(due)
        sums = [values[outcome.name, unit] for unit in due]
        assert sum(c.positive - c.negative for c in found) == pytest.approx(sum(sums))
        assert sum(c.sumsq for c in found) == pytest.approx(sum(s * s for s in sums))
        assert sum(c.hits for c in found) == sum(s > 0 for s in sums)


def _click(nonce: str, at_ms: int) -> Item:
    return Item(Token("control", "1", at_ms, "u1", nonce), CLICK, 1.0, "", at_ms)


def test_nothing_is_lost_or_counted_twice_by_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    store = Store(file, OUTCOMES, now_ms=0)
    assert store.take([_click("a", 1000), _click("b", 1010)], 1020) == ["counted", "counted"]
    store.close()
    store = Store(file, OUTCOMES, now_ms=5000)
    assert store.created_ms == 0
    assert store.take([_click("a", 1000)], 1030) == ["duplicate"]
    store.release(1200)
    store.close()
    store = Store(file, OUTCOMES, now_ms=9000)
    store.release(1300)
    assert [c.n for c in store.counts() if c.per == "outcome"] == [2]
    assert store.told() == {("counted", "control"): 2, ("duplicate", "control"): 1}


def test_a_new_memory_refuses_what_an_old_one_may_have_counted() -> None:
    store = Store(":memory:", OUTCOMES, now_ms=1000)
    assert store.take([_click("a", 999), _click("b", 1000)], 1010) == ["lost", "counted"]


def test_what_is_late_or_of_the_future_is_told_and_not_counted() -> None:
    store = Store(":memory:", OUTCOMES, now_ms=0)
    assert store.take([_click("a", 1000), _click("b", 100_000)], 1100) == ["late", "early"]
    store.release(10**6)
    assert not list(store.counts())


@pytest.mark.parametrize("released_ms", [None, -1, 0])
@pytest.mark.parametrize(("age_ms", "told"), [(99, "counted"), (100, "late"), (101, "late")])
def test_at_the_edge_of_the_maturity_a_report_is_counted_or_told_and_never_both(
    age_ms: int, told: str, released_ms: int | None
) -> None:
    """Whether or not what is due was counted just before, and also for who was answered."""
    store = Store(":memory:", OUTCOMES, now_ms=0)
    if released_ms is not None:
        store.release(1000 + age_ms + released_ms)
    assert store.take([_click("a", 1000)], 1000 + age_ms) == [told]
    assert store.take([_click("a", 1000)], 1000 + age_ms) == [
        "duplicate" if told == "counted" else "late"
    ]
    for later_ms in (1000 + age_ms, 1100, 1101, 5000):
        store.release(later_ms)
    assert [c.n for c in store.counts() if c.per == "outcome"] == [1] * (told == "counted")
    users = {(c.outcome, c.n) for c in store.counts() if c.per == "user"}
    assert users == ({("click", 1), ("spent", 1)} if told == "counted" else set())


def test_a_clock_that_is_set_back_counts_nothing_twice() -> None:
    store = Store(":memory:", OUTCOMES, now_ms=0)
    store.take([_click("a", 1000)], 1010)
    store.release(1100)
    store.release(1050)
    # Its prediction was due before the clock went back, so it is late, whatever the clock says.
    assert store.take([_click("b", 990)], 1060) == ["late"]
    store.release(1200)
    assert [c.n for c in store.counts() if c.per == "outcome"] == [1]


def test_an_exposure_that_comes_too_late_is_told() -> None:
    store = Store(":memory:", OUTCOMES, now_ms=0)
    assert store.expose("control", [("u1", "1", 1000), ("u2", "2", 1250)], 1300) == 1
    assert store.told() == {("lateExposure", "control"): 1}
    store.release(5000)
    assert {(c.outcome, c.n) for c in store.counts()} == {("click", 1), ("spent", 1)}


@pytest.mark.parametrize(
    ("outcome", "value", "event"),
    [
        (CLICK, 5, ""),
        (CLICK, 0.5, ""),
        (SPENT, 1e13, "e"),
        (SPENT, float("nan"), "e"),
        (SPENT, 1, ""),
    ],
)
def test_a_value_that_cannot_be_is_refused(outcome: Outcome, value: float, event: str) -> None:
    assert outcome.refusal(value, event)


MINUTE = 60_000
EARLY = Outcome("spent@1m", "number", "many", MINUTE, MINUTE, of="spent", cap=10.0)
LAST = Outcome("spent", "number", "many", 5 * MINUTE, 5 * MINUTE, cap=10.0)
BACK = Outcome("back", "return", "once", 10 * MINUTE, 5 * MINUTE, after_ms=2 * MINUTE)


def _spent(nonce: str, value: float, at_ms: int = 1000, unit: str = "u1") -> Item:
    return Item(Token("control", "17", at_ms, unit, nonce), LAST, value, "e", at_ms)


def _counts(store: Store, per: str = "outcome") -> dict[str, tuple[float, ...]]:
    rows = (c for c in store.counts() if c.per == per)
    return {c.outcome: (c.n, c.hits, c.positive, c.negative, c.sumsq) for c in rows}


def test_an_early_age_counts_what_had_come_by_then_and_the_last_one_all() -> None:
    store = Store(":memory:", {o.name: o for o in (LAST, EARLY)}, now_ms=0)
    assert store.take([_spent("a", 3), _spent("b", 4)], 2000) == ["counted"] * 2
    store.release(1000 + MINUTE)
    assert store.take([_spent("c", 5)], 1000 + MINUTE) == ["counted"]  # too late for the early age
    assert store.take([_spent("a", 3)], 1000 + MINUTE) == ["duplicate"]
    assert _counts(store) == {"spent@1m": (2, 2, 7, 0, 25)}
    assert _counts(store, "user") == {"spent@1m": (1, 1, 7, 0, 49)}
    store.release(10 * MINUTE)
    assert _counts(store) == {"spent@1m": (2, 2, 7, 0, 25), "spent": (3, 3, 12, 0, 50)}
    # Of the last age, the sum of the user is 12, which counts as 10.
    assert _counts(store, "user") == {"spent@1m": (1, 1, 7, 0, 49), "spent": (1, 1, 10, 0, 100)}


def test_a_cap_holds_for_each_report_either_way() -> None:
    store = Store(":memory:", {LAST.name: LAST}, now_ms=0)
    store.take([_spent("a", 999, unit="u1"), _spent("b", -999, unit="u2")], 2000)
    store.release(10 * MINUTE)
    assert _counts(store) == {"spent": (2, 1, 10, 10, 200)}
    assert _counts(store, "user") == {"spent": (2, 1, 10, 10, 200)}


@pytest.mark.parametrize("first", [True, False])
def test_a_user_returns_between_after_and_the_window(first: bool) -> None:
    store = Store(":memory:", {BACK.name: BACK}, now_ms=0)
    again = {"soon": 1, "back": 2, "late": 4, "gone": 5}
    for unit, minutes in again.items():
        # Also where the later answer is told of first, by another replica.
        told = sorted((1000, 1000 + minutes * MINUTE), reverse=not first)
        for at_ms in told:
            store.expose("control", [(unit, "1", at_ms)], max(at_ms, store.released_ms))
    store.expose("treatment", [("back", "1", 1000 + 3 * MINUTE)], store.released_ms)
    store.release(1000 + 10 * MINUTE)
    assert _counts(store, "user") == {"back": (4, 2, 2, 0, 2)}
    assert {c.variant for c in store.counts()} == {"control"}
    store.expose("control", [("soon", "1", 1000 + 3 * MINUTE)], 1000 + 11 * MINUTE)
    store.release(30 * MINUTE)  # too late, and nobody counts twice
    assert _counts(store, "user") == {"back": (4, 2, 2, 0, 2)}
    assert store.again_ms == 2 * MINUTE // 24


def test_how_fast_reports_come_is_counted_by_group_and_hit() -> None:
    store = Store(":memory:", {LAST.name: LAST, EARLY.name: EARLY}, now_ms=0)
    ages = [0, LAST.ages_ms[0], LAST.ages_ms[0] + 1, LAST.ages_ms[1] + 1]
    for i, age in enumerate(ages):
        store.take([_spent(f"n{i}", float(i % 2))], 1000 + age)
    nobody = Token("control", "none", 1000, None, "x")
    store.take([Item(nobody, LAST, 1.0, "e", 1000)], 1000 + ages[-1])
    assert store.ages() == {}
    store.release(10 * MINUTE)
    # Bucket 17 is in group 1.
    assert store.ages() == {
        ("spent", "control", 1, True): (1, 0, 1),
        ("spent", "control", 1, False): (1, 1, 0),
    }


def test_a_memory_of_before_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    before = Store(file, OUTCOMES, now_ms=0)
    before._db.execute("ALTER TABLE waiting DROP COLUMN age_ms")
    before._db.execute("INSERT INTO waiting VALUES ('click', 'a', '', 'control', '1', 1000, 1)")
    before.close()
    store = Store(file, OUTCOMES, now_ms=1010)
    assert store.take([_click("a", 1000), _click("b", 1000)], 1010) == ["duplicate", "counted"]
    store.release(2000)
    assert [c.n for c in store.counts() if c.outcome == "click" and c.per == "outcome"] == [2]
    assert sum(map(sum, store.ages().values())) == 1
