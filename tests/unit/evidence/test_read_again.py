"""Who looks again reads only what is new, and finds what a first look at that time finds."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from alike import assert_same, few_even_polls
from evaluator import Server, Stored, source
from generated import INTERVAL, SELECTORS, START, calm, history, windows_of
from hypothesis import given
from hypothesis import strategies as st
from laws import law

from abctl.core.polls import Window
from abctl.errors import SourceError
from abctl.evidence import cache as cache_module
from abctl.evidence.cache import Cache
from abctl.evidence.counters.group import Group
from abctl.evidence.increments import Samples, grid
from abctl.evidence.read import read

pytestmark = pytest.mark.slow

FIRST = START / 1000
FINAL_SECONDS = 600.0


@pytest.fixture(autouse=True)
def _soon_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_FINAL_SECONDS", FINAL_SECONDS)


def cut(windows: Sequence[Window], now: float) -> list[Window]:
    """The windows as they are at some time."""
    return [Window(w.epoch, w.start, min(w.end, now)) for w in windows if w.start < now]


def visible(stored: Sequence[Stored], now: float, late_ratio: float, salt: int) -> list[Stored]:
    """What a server has at some time: of the last minutes, not every scrape has come in."""
    found = []
    for labels, times, values in stored:
        rng = np.random.default_rng([salt, *labels["instance"].encode()])
        missing = rng.random(4096) < late_ratio
        behind = (now - FINAL_SECONDS * (rng.random() if late_ratio else 0)) * 1000
        fresh = times > (now - FINAL_SECONDS) * 1000
        late = missing[(times // 997 % 4096).astype(int)] | (times > behind)
        there = (times <= now * 1000) & ~(fresh & late)
        if there.any():
            found.append((labels, times[there], values[there]))
    return found


@dataclass
class Look:
    """One look through a cache, next to one without."""

    folder: Path
    closed: bool = True
    asked: int = 0
    alone: int = 0

    def at(self, stored: Sequence[Stored], windows: Sequence[Window], now: float) -> None:
        """Both find the same."""
        found = self.through_cache(stored, windows, now)
        server = Server([*stored], self.closed)
        assert_same(found, read(source(server), windows, SELECTORS, now))
        self.alone = server.asked

    def through_cache(
        self,
        stored: Sequence[Stored],
        windows: Sequence[Window],
        now: float,
        fails_after: int | None = None,
    ) -> Samples:
        server = Server([*stored], self.closed, fails_after)
        try:
            cache = Cache(self.folder, "there", now)
            return read(source(server), windows, SELECTORS, now, cache=cache)
        finally:
            self.asked = server.asked

    def interrupted(
        self, stored: Sequence[Stored], windows: Sequence[Window], now: float, after: int
    ) -> None:
        with suppress(SourceError):
            self.through_cache(stored, windows, now, after)


@law(10)
@given(
    st.integers(0, 10**6),
    st.booleans(),
    st.lists(st.floats(0.2, 1.0), min_size=1, max_size=3),
    st.sampled_from([0.0, 0.0, 0.3]),
    st.one_of(st.none(), st.integers(1, 60)),
)
def test_what_was_kept_does_not_matter(
    seed: int, closed: bool, looks: list[float], late: float, interrupted: int | None
) -> None:
    stored, scrapes = history(seed)
    seconds = (scrapes - 20) * 15.0
    windows = windows_of(seed, FIRST + seconds)
    with TemporaryDirectory() as folder, few_even_polls(read_all=False):
        look = Look(Path(folder), closed)
        for salt, share in enumerate([*sorted(looks), 1.0]):
            now = FIRST + round(share * seconds, 3)
            there, sofar = visible(stored, now, late, salt), cut(windows, now)
            if interrupted is not None and salt == len(looks):
                look.interrupted(there, sofar, now, interrupted)
            if sofar:
                look.at(there, sofar, now)


def test_of_what_is_over_almost_nothing_is_asked_for_again(tmp_path: Path) -> None:
    now = FIRST + 600 * 15.0
    look, windows = Look(tmp_path), [Window(0, FIRST, now - FINAL_SECONDS)]
    look.at(calm(640), windows, now)
    first, alone = look.asked, look.alone
    assert first <= alone + len(SELECTORS)  # a chunk ends where something may be kept
    look.at(calm(640), windows, now)
    assert look.asked < 0.4 * first  # once more what was kept first, and what is not over


def test_an_interrupted_look_leaves_behind_what_it_has_read(tmp_path: Path) -> None:
    now = FIRST + 600 * 15.0
    look, windows = Look(tmp_path), [Window(0, FIRST, now)]
    with few_even_polls(read_all=False):  # of many chunks
        look.interrupted(calm(640), windows, now, 40)
        look.at(calm(640), windows, now)
    assert look.asked < look.alone  # what was on its way when the server went is asked for again


def test_what_was_half_added_when_it_was_interrupted_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_ends(*arguments: Any) -> None:
        added.append(1)
        if len(added) == 5:  # two selectors have something in each chunk
            raise KeyboardInterrupt
        usual(*arguments)

    added: list[int] = []
    usual = Group.add_ends
    now = FIRST + 600 * 15.0
    look, windows = Look(tmp_path), [Window(0, FIRST, now)]
    monkeypatch.setattr(Group, "add_ends", add_ends)
    with pytest.raises(KeyboardInterrupt):
        look.through_cache(calm(640), windows, now)
    look.at(calm(640), windows, now)


@pytest.mark.parametrize("change", ["values", "begin", "labels"])
def test_another_server_is_believed_and_not_what_was_kept(tmp_path: Path, change: str) -> None:
    def changed(stored: list[Stored]) -> Iterator[Stored]:
        for labels, times, values in stored:
            if change == "values" and "_total" in labels["__name__"]:
                yield labels, times, values + 1
            elif change == "begin":  # it has forgotten
                some = times > START + 5 * INTERVAL
                yield labels, times[some], values[some]
            elif change == "labels":
                yield {**labels, "pod": "x"}, times, values

    now = FIRST + 600 * 15.0
    look, windows = Look(tmp_path), [Window(0, FIRST, now)]
    look.at(calm(640), windows, now)
    other = list(changed(calm(640))) or calm(640)
    look.at(other, windows, now)
    assert look.asked >= look.alone


def test_a_ledger_that_says_something_else_about_what_is_over_is_believed(tmp_path: Path) -> None:
    now = FIRST + 600 * 15.0
    look = Look(tmp_path)
    look.at(calm(640), [Window(0, FIRST, now)], now)
    middle = FIRST + 3000.25
    look.at(calm(640), [Window(0, FIRST, middle), Window(1, middle + 60.0, now)], now)
    look.at(calm(640), [Window(0, FIRST, middle), Window(2, middle, now)], now)


KINDS = ("restart", "fall", "untold", "birth", "death", "return", "gap", "absent", "new pod")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [0, 7_000])
def test_what_happens_at_an_edge_is_found(kind: str, offset: int, tmp_path: Path) -> None:
    """Edges: of what was kept, of a chunk, and of an epoch, each with scrapes on it or beside."""
    first_look, now = FIRST + 300 * 15.0, FIRST + 420 * 15.0
    middle = FIRST + 4800.0
    windows = [Window(0, FIRST, middle), Window(1, middle + 30.0, now)]
    edges = grid(cut(windows, first_look), 15.0, first_look).edges
    kept = edges[edges <= first_look - FINAL_SECONDS][-1]
    for where in (kept, edges[edges < kept][-1], middle, middle + 30.0):
        for step in (-1, 0, 1) if where == kept else (0, 1):
            at = round((where - FIRST) / 15.0) + 20 + step
            stored = event(kind, calm(460, offset=offset), at)
            look = Look(tmp_path / f"{where} {step}")
            early = visible(stored, first_look, 0.3, at)
            look.through_cache(early, cut(windows, first_look), first_look)
            look.at(stored, windows, now)


def event(kind: str, stored: list[Stored], at: int) -> list[Stored]:
    """A history in which something happens at a scrape."""
    found: list[Stored] = []
    for labels, times, values in stored:
        name = labels["__name__"]
        counter, zero = map(np.bool_, (name.endswith("_total"), labels.get("bucket") == "0"))
        after = np.arange(len(times)) >= at
        if kind == "untold" and not counter:  # it says when it was scraped, not when it started
            found.append((labels | {"__name__": "up"}, times, np.ones(len(times))))
            continue
        if kind in ("restart", "untold"):
            there = times > 0
            new = np.where(after, values - values[at - 1] + 2, values) if counter else values
            new = np.where(after, times[at] / 1000 - 3, values) if not counter else new
        elif kind == "fall":
            there, new = times > 0, np.where(after & counter & zero, values * 0.75, values)
        elif kind == "birth":
            there, new = after | ~counter | ~zero, values - (values[at - 1] if zero else 0)
        elif kind == "death":
            there, new = ~after | ~counter | ~zero, values
        elif kind == "return":  # of the whole target, an hour later and from zero
            there = ~after | (np.arange(len(times)) >= at + 40)
            back = values - values[min(at + 39, len(values) - 1)]
            new = np.where(after, back if counter else times[at] / 1000 + 590, values)
        elif kind == "gap":
            there, new = ~after | (np.arange(len(times)) >= at + 3), values
        elif kind == "absent":  # one series in one scrape, and then less
            there = (np.arange(len(times)) != at) | ~counter | ~zero
            new = np.where(after & counter & zero, values * 0.75, values)
        else:  # another pod at the same address
            new = values - values[at - 1] if counter else np.full(len(times), times[at] / 1e3 - 2)
            found.append(({**labels, "pod": "y"}, times[after], new[after]))
            there, new = ~after, values
        found.append((labels, times[there], new[there]))
    return [each for each in found if len(each[1])]
