"""What is kept of a source: nothing that could change a result."""

from pathlib import Path

import numpy as np
import pytest

from abctl.sources import Outline, Series
from abctl.sources import _cache as cache_module
from abctl.sources._cache import Remembered, remembered
from abctl.sources._outline import outline_of

NOW = 100_000.0
EDGES = np.array([1000.0, 2000.0, 2500.5])


class Counting:
    """A source that counts what it is asked."""

    place = "there"
    cached_as = "there, as me"

    def __init__(self, slope: float = 2.0) -> None:
        self.slope = slope
        self.asked = 0

    def now(self) -> float:
        return NOW

    def retention_seconds(self) -> float | None:
        return None

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        self.asked += 1
        times = np.arange(0.0, NOW, 125.0) + 0.25
        times = times[(times > start) & (times <= end)]
        labels = [{"__name__": selector, "bucket": bucket} for bucket in ("1", "0")]
        values = [times * self.slope, times % 1000 * self.slope]
        found = [Series(each, times, v) for each, v in zip(labels, values, strict=True)]
        return [] if selector == "nothing" else found

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return outline_of(self, selector, edges, since)


def look(source: Counting, folder: Path, now: float = NOW) -> list[tuple[object, ...]]:
    """Ask some questions through a cache; gives the answers in a form that can be compared."""
    once = Remembered(source, folder, source.cached_as, now)
    answers: list[tuple[object, ...]] = []
    for selector in ("n", "hits", "nothing"):
        series = sorted(once.series(selector, 5.0, 3000.0), key=lambda s: s.labels["bucket"])
        answers += [(dict(s.labels), s.times.tolist(), s.values.tolist()) for s in series]
        found = once.outline(selector, EDGES, 500.0)
        rows = sorted(
            (dict(labels)["bucket"], last.tolist(), float(drops))
            for labels, last, drops in zip(found.labels, found.last, found.drops, strict=True)
        )
        answers.append((selector, rows))
    once.tidy()
    return answers


def test_what_is_over_is_asked_for_once_but_for_one_answer(tmp_path: Path) -> None:
    source = Counting()
    first = look(source, tmp_path)
    assert source.asked == 6
    assert look(source, tmp_path) == first == look(Counting(), tmp_path)
    assert source.asked == 7
    assert list(tmp_path.glob("*/*.part")) == []


def test_what_may_still_change_is_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        source = Counting()
        look(source, tmp_path, now=3500.0)
        assert source.asked == 6
    assert list(tmp_path.glob("*/*")) == []


def test_another_server_at_the_same_address_is_believed_and_not_the_cache(tmp_path: Path) -> None:
    old = look(Counting(), tmp_path)
    new = look(Counting(slope=3.0), tmp_path)
    assert new != old
    assert new == look(Counting(slope=3.0), tmp_path / "empty")
    assert look(Counting(slope=3.0), tmp_path) == new


def test_somebody_else_finds_nothing(tmp_path: Path) -> None:
    look(Counting(), tmp_path)
    other = Counting()
    other.cached_as = "there, as somebody else"
    look(other, tmp_path)
    assert other.asked == 6


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "swap"])
def test_damaged_files_are_thrown_away(tmp_path: Path, damage: str) -> None:
    first = look(Counting(), tmp_path)
    files = sorted(tmp_path.glob("*/*.npz"))
    assert len(files) == 6
    contents = [file.read_bytes() for file in files]
    for file, content, other in zip(files, contents, contents[1:] + contents[:1], strict=True):
        half = len(content) // 2
        flipped = bytes([content[half] ^ 255])
        file.write_bytes(
            {
                "cut": content[:-100],
                "flip": content[:half] + flipped + content[half + 1 :],
                "empty": b"",
                "text": b"no file of numpy",
                "swap": other,
            }[damage]
        )
    source = Counting()
    assert look(source, tmp_path) == first
    # Where nobody reads the byte that was changed, the file is as good as before.
    assert damage == "flip" or source.asked == 6
    assert look(Counting(), tmp_path) == first


def test_the_oldest_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look(Counting(), tmp_path)
    monkeypatch.setattr(cache_module, "_LARGEST_BYTES", 3 * 4096)
    look(Counting(), tmp_path)
    assert len(list(tmp_path.glob("*/*.npz"))) == 3


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert look(Counting(), tmp_path / "file") == look(Counting(), tmp_path)


def test_a_source_that_does_not_say_who_it_is_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = Counting()
    assert isinstance(remembered(source, NOW), Remembered)
    source.cached_as = ""
    assert remembered(source, NOW) is source
