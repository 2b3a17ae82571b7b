"""A file of saved evidence comes back number for number, or is refused with its place."""

import gzip
import json
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from abctl.errors import SourceError, UsageError
from abctl.forms.evidence import FORMAT, Arrays
from abctl.sources import file

columns = arrays.arrays(np.float64, st.integers(0, 5))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def bits(array: NDArray[np.float64]) -> bytes:
    """Equal in every bit; whatever is no number is alike."""
    return np.nan_to_num(array, nan=-7.25, posinf=np.inf, neginf=-np.inf).tobytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plain, st.lists(columns | st.just(np.array([0.0, 1.0, 2.0**60])), max_size=4))
def test_what_is_read_is_what_was_saved(
    tmp_path: Path, evidence: Any, saved: list[NDArray[np.float64]]
) -> None:
    path = tmp_path / "e.json.gz"
    file.save(path, {"evidence": evidence, "more": 1}, saved)
    first = path.read_bytes()
    document, read = file.load(path)
    assert document == {"evidence": evidence, "more": 1}
    assert [*map(bits, read)] == [*map(bits, saved)]
    file.save(path, document, read)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["e.json.gz"]


def test_each_array_has_one_number_and_whatever_is_no_number_is_alike() -> None:
    forms = np.array([0x7FF8000000000000, 0x7FF0000000000002]).view(np.float64)
    found = Arrays([np.ones(2)])
    assert [found.number(forms[[i]]) for i in (0, 1)] == [1, 1]
    assert (found.number(np.ones(2)), found.number(-np.zeros(1)), found.number(np.zeros(1))) == (
        0,
        2,
        3,
    )
    with pytest.raises(NotImplementedError):
        found.number(np.ones((2, 2)))


SAVED: tuple[dict[str, Any], list[NDArray[np.float64]]] = (
    {"evidence": {"times": 0, "counts": [1, [], [], {}, {}]}},
    [np.arange(4) + 0.1, np.array([1.0, 2.0, np.inf])],
)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "e.json.gz"
    file.save(path, *SAVED)
    return path


def text_of(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def test_it_is_json_that_says_what_it_is_and_holds_each_array_once(example: Path) -> None:
    found = json.loads(text_of(example))
    assert (found["apiVersion"], found["kind"]) == ("abctl.dev/v1", "Evidence")
    assert found["format"] == FORMAT
    assert found["writtenBy"].keys() == {"abctl", "numpy", "scipy", "python"}
    assert found["arrays"] == [
        {"$float64": [0.1, 1.1, 2.1, 3.1]},
        {"$float64": [1.0, 2.0, "inf"]},
    ]


def altered(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write the file anew, with a right digest."""
    document = json.loads(text_of(path))
    change(document)
    del document["sha256"]
    head = json.dumps(document)[:-1].encode() + b",\n"
    digest = file._digest(head + file._DIGEST).encode()
    path.write_bytes(gzip.compress(head + file._DIGEST + digest + b'"}'))


def set_(*keys: Any) -> Callable[[dict[str, Any]], None]:
    *way, last, value = keys

    def change(document: dict[str, Any]) -> None:
        at: Any = document
        for key in way:
            at = at[key]
        at[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_("format", 3), "written by abctl .* as format 3, this abctl .* reads format 2"),
        (set_("format", True), "written by abctl .* as format True"),
        (set_("format", None), "as format None"),
        (set_("apiVersion", "abctl.dev/v9"), "written by abctl .* as abctl.dev/v9"),
        (set_("writtenBy", None), None),
        (set_("kind", "Analysis"), "not saved evidence: not of the kind Evidence"),
        (set_("arrays", None), "it has no list of arrays"),
        (lambda document: document.pop("arrays"), "it has no list of arrays"),
        (set_("arrays", 0, {"$float64": [[1]]}), "something else"),
        (set_("arrays", 0, {"$float64": ["a"]}), "an array holds something else than float64"),
        (set_("arrays", 0, {"$float64": [True]}), "something else than float64"),
        (set_("arrays", 1, {"$int64": [1]}), "something else than float64"),
        (set_("arrays", 1, {"$float64": [1], "more": 1}), "something else than float64"),
    ],
)
def test_what_is_not_as_it_must_be_is_told_with_its_place(
    example: Path, change: Callable[[dict[str, Any]], Any], message: str | None
) -> None:
    altered(example, change)
    if message is None:
        assert file.load(example)[0] == SAVED[0]
        return
    with pytest.raises(SourceError, match=message) as caught:
        file.load(example)
    assert str(example) in caught.value.message
    assert caught.value.hint


def test_a_number_that_was_altered_is_noticed(example: Path) -> None:
    text = text_of(example).replace("2.1", "2.2")
    example.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(SourceError, match="its sha256 is not"):
        file.load(example)


def test_a_file_that_is_cut_short_or_damaged_anywhere_is_refused(example: Path) -> None:
    whole, saved = example.read_bytes(), SAVED[1]
    step = max(1, len(whole) // 60)
    for at in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        for data in (whole[:at], bytes(flipped)):
            example.write_bytes(data)
            # On time, level and system in the header nothing depends, and on the bits that fill up
            # the last byte of what is packed.
            idle = at in range(4, 10) or at == len(whole) - 9
            refused = pytest.raises(SourceError, match=example.name)
            with suppress(SourceError) if idle else refused:
                assert [*map(bits, file.load(example)[1])] == [*map(bits, saved)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not saved evidence|cut short"),
        (b"apiVersion: abctl.dev/v1alpha1", "not compressed with gzip"),
        (gzip.compress(b"\xff", mtime=0), "not JSON"),
        (gzip.compress(b'{"a":' + b"[" * 100_000, mtime=0), "not JSON"),
        (gzip.compress(b"[]", mtime=0), "not of the kind Evidence"),
    ],
)
def test_what_was_never_evidence_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "e.json.gz"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message):
        file.load(path)


def test_sizes_are_bounded(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        file.save(tmp_path / "missing" / "e.json.gz", *SAVED)
    for what, words in ((b"", "bytes"), (b",", "values"), (b"[", "lists"), (b"{", "mappings")):
        monkeypatch.setitem(file._MOST, what, 3)
        with pytest.raises(SourceError, match=f"over 3 {words} when unpacked"):
            file.load(example)
        with pytest.raises(SourceError, match=f"over 3 {words} when unpacked"):
            file.save(tmp_path / "other.json.gz", *SAVED)
        monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["e.json.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("filling", [b" ", b"[],", b"{},", b"1.5,", b'"",'])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_does(
    tmp_path: Path, filling: bytes
) -> None:
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(b"[")
        for _ in range(2**7):
            packed.write(filling * (2**22 // len(filling)))
    assert path.stat().st_size < 2**23
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match="when unpacked"):
        file.load(path)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 400 * 2**10


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_has_the_mode_that_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "other.json.gz"
    before = os.umask(mask)
    try:
        file.save(path, *SAVED)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        file.load(tmp_path / "none")
    with pytest.raises(SourceError, match="a folder, not a file"):
        file.load(tmp_path)


def test_a_file_answers_nothing_new() -> None:
    with pytest.raises(SourceError, match=r"e.json.gz is saved evidence") as caught:
        file.open_source({"path": "e.json.gz"})
    assert caught.value.hint == "abctl analyze --from e.json.gz"
