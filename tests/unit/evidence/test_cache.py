"""Files of what was read: what was kept is found again, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from abctl.evidence import cache as cache_module
from abctl.evidence.cache import Cache, cache_of

NOW = 100_000.0
QUESTIONS = (["n", 1.5], ["hits", 1.5], ["n", 2.5])


def arrays(number: int) -> dict[str, np.ndarray]:
    return {"text": np.frombuffer(b"{}", np.uint8), "numbers": np.arange(100.0) * number}


def keep(folder: Path, name: str = "there, as me") -> Cache:
    cache = Cache(folder, name, NOW)
    for number, question in enumerate(QUESTIONS):
        cache.save(question, arrays(number))
    return cache


def found(cache: Cache) -> list[list[float] | None]:
    kept = [cache.load(question) for question in QUESTIONS]
    return [None if each is None else each["numbers"].tolist() for each in kept]


WHOLE = [arrays(number)["numbers"].tolist() for number in range(len(QUESTIONS))]


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    keep(tmp_path)
    assert found(Cache(tmp_path, "there, as me", NOW + 1)) == WHOLE
    assert list(tmp_path.glob("*/*.part")) == []
    assert Cache(tmp_path, "there, as me", NOW).load(["n", 3.5]) is None


def test_what_is_kept_last_is_what_is_found(tmp_path: Path) -> None:
    cache = keep(tmp_path)
    cache.save(QUESTIONS[0], arrays(7))
    assert found(cache) == [arrays(7)["numbers"].tolist(), *WHOLE[1:]]


def test_what_is_less_than_an_hour_old_is_not_final() -> None:
    assert Cache(Path("somewhere"), "there", NOW).final == NOW - 3600.0


def test_somebody_else_finds_nothing(tmp_path: Path) -> None:
    keep(tmp_path)
    assert found(Cache(tmp_path, "there, as somebody else", NOW)) == [None] * 3


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "swap"])
def test_damaged_files_are_thrown_away(tmp_path: Path, damage: str) -> None:
    cache = keep(tmp_path)
    files = sorted(tmp_path.glob("*/*.npz"))
    contents = [file.read_bytes() for file in files]
    for file, content, other in zip(files, contents, contents[1:] + contents[:1], strict=True):
        half = len(content) // 2  # in the middle of the numbers
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
    assert found(cache) == [None] * 3
    assert list(tmp_path.glob("*/*")) == []


def test_the_oldest_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = keep(tmp_path)
    cache.tidy()
    assert found(cache) == WHOLE
    monkeypatch.setattr(cache_module, "_LARGEST_BYTES", 2 * 4096)
    cache.tidy()
    assert len(list(tmp_path.glob("*/*.npz"))) == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = keep(tmp_path / "file")
    cache.tidy()
    assert found(cache) == [None] * 3


def test_a_source_that_does_not_say_who_it_is_has_no_cache() -> None:
    class Source:
        cached_as = "there, as me"

    source = Source()
    assert cache_of(source, NOW) is not None
    source.cached_as = ""
    assert cache_of(source, NOW) is None
