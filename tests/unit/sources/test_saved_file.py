"""Saved evidence comes back number for number, or is refused with its place."""

import gzip
import json
import math
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from abctl.core.split import Split
from abctl.errors import SourceError, UsageError
from abctl.sources import file

Target = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Series:
    labels: Mapping[str, str]
    times: NDArray[np.float64]
    places: NDArray[np.int64]
    seen: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Everything:
    """One field of each kind that evidence may have."""

    name: str
    number: float
    count: int
    sure: bool
    way: Literal["up", "down"]
    maybe: float | None
    pair: tuple[str, float]
    split: Split
    found: Mapping[str, Sequence[Series]]
    starts: Mapping[Target, Series]


floats = st.floats(allow_nan=False)
columns = arrays.arrays(np.float64, st.integers(0, 5))
series = st.builds(
    Series,
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    columns | st.just(np.array([0.0, 1.0, 2.0**60])),
    arrays.arrays(np.int64, st.integers(0, 5)),
    arrays.arrays(np.bool_, st.integers(0, 5)),
)
targets = st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple)
everything = st.builds(
    Everything,
    st.text(),
    floats,
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.sampled_from(("up", "down")),
    st.none() | floats,
    st.tuples(st.text(), floats),
    st.just(Split(("a", "b"), (9_999, 1))),
    st.dictionaries(st.text(max_size=3), st.lists(series, max_size=3), max_size=3),
    st.dictionaries(targets, series, max_size=3),
)


def same(one: Any, other: Any) -> bool:
    """Equal in every bit, the order of mappings included; any sequence is as good as another."""
    if isinstance(one, np.ndarray):
        bits = [np.nan_to_num(a, nan=-7.25) if a.dtype == np.float64 else a for a in (one, other)]
        return one.dtype == other.dtype and bits[0].tobytes() == bits[1].tobytes()
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, Mapping):
        return len(one) == len(other) and all(
            same(a, b) for a, b in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, n), getattr(other, n)) for n in one.__dataclass_fields__)
    return bool(one == other)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(everything)
def test_what_is_read_is_what_was_saved(tmp_path: Path, saved: Everything) -> None:
    path = tmp_path / "e.json.gz"
    file.save(path, saved)
    first = path.read_bytes()
    read = file.load(path, Everything)
    assert same(saved, read)
    file.save(path, read)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["e.json.gz"]


def test_whatever_is_no_number_is_saved_alike(tmp_path: Path) -> None:
    forms = np.array([0x7FF8000000000000, 0x7FF0000000000002]).view(np.float64)
    found = [Series({}, forms[[i]], np.arange(1), np.ones(1, dtype=bool)) for i in range(2)]
    split = Split(("a", "b"), (5_000, 5_000))
    saved = Everything("n", 1.0, 1, True, "up", None, ("x", 1.0), split, {"x": found}, {})
    path = tmp_path / "e.json.gz"
    file.save(path, saved)
    first = path.read_bytes()
    file.save(path, file.load(path, Everything))
    assert path.read_bytes() == first


@pytest.fixture
def example(tmp_path: Path) -> Path:
    times = np.arange(4) + 0.1
    one = Series({"a": "b"}, times, np.arange(3), np.ones(2, dtype=bool))
    split = Split(("a", "b"), (5_000, 5_000))
    path = tmp_path / "e.json.gz"
    given = ("n", 1.5, 2, True, "up", None, ("x", 1.0), split, {"q": [one, one]}, {(): one})
    file.save(path, Everything(*given))  # type: ignore[arg-type]
    return path


def text_of(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def test_it_is_json_that_says_what_it_is_and_holds_each_array_once(example: Path) -> None:
    found = json.loads(text_of(example))
    assert (found["apiVersion"], found["kind"]) == ("abctl.dev/v1", "Evidence")
    assert found["format"] == file.FORMAT
    assert found["writtenBy"].keys() == {"abctl", "numpy", "scipy", "python"}
    assert found["arrays"] == [
        {"$float64": [0.1, 1.1, 2.1, 3.1]},
        {"$int64": [0, 1, 2]},
        {"$bool": [True, True]},
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
        (set_("format", 2), "as abctl.dev/v1 format 2, this abctl .* reads abctl.dev/v1 format 1"),
        (set_("apiVersion", "abctl.dev/v9"), "written by abctl .* as abctl.dev/v9"),
        (set_("kind", "Analysis"), "not saved evidence: not of the kind Evidence"),
        (set_("evidence", None), "evidence: None, must be a mapping"),
        (set_("arrays", None), "it has no list of arrays"),
        (set_("evidence", "number", "1.5"), "evidence.number: '1.5', must be a float"),
        (set_("evidence", "number", True), "evidence.number: True, must be a float"),
        (set_("evidence", "count", 2.5), "evidence.count: 2.5, must be a int"),
        (set_("evidence", "sure", 1), "evidence.sure: 1, must be a bool"),
        (set_("evidence", "way", "left"), "evidence.way: 'left', must be one of up, down"),
        (set_("evidence", "way", []), r"evidence.way: \[\], must be one of up, down"),
        (set_("evidence", "more", 1), "evidence: more is unknown"),
        (set_("evidence", "pair", ["x"]), r"evidence.pair: \['x'\], must be 2 values"),
        (set_("evidence", "split", "shares_bp", [1, 2]), "evidence.split: split .* sum 0.03%"),
        (set_("evidence", "found", "q", 1, "times", 9), r"found\['q'\]\[1\].times: 9, must be the"),
        (set_("evidence", "found", "q", 0, "times", 1), "must be an array of its type"),
        (set_("evidence", "found", []), r"evidence.found: \[\], must be a mapping"),
        (set_("evidence", "starts", [[1]]), r"evidence.starts\[0\]: \[1\], must be 2 values"),
        (set_("evidence", "starts", [[[["a", 1]], {}]]), r"starts\[0\]\[0\]\[0\]\[1\]: 1, must be"),
        (set_("arrays", 0, {"$float64": [[1]]}), "something else"),
        (set_("arrays", 0, {"$float64": ["a"]}), "an array holds something else than float64"),
        (set_("arrays", 1, {"$int64": [0.5]}), "something else than int64"),
        (lambda document: document["evidence"].pop("name"), "evidence: name is missing"),
    ],
)
def test_what_is_not_as_it_must_be_is_told_with_its_place(
    example: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    altered(example, change)
    with pytest.raises(SourceError, match=message) as caught:
        file.load(example, Everything)
    assert str(example) in caught.value.message
    assert caught.value.hint


def test_a_number_that_was_altered_is_noticed(example: Path) -> None:
    text = text_of(example).replace("2.1", "2.2")
    example.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(SourceError, match="its sha256 is not"):
        file.load(example, Everything)


def test_a_file_that_is_cut_short_or_damaged_anywhere_is_refused(example: Path) -> None:
    whole, saved = example.read_bytes(), file.load(example, Everything)
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
                assert same(file.load(example, Everything), saved)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not saved evidence|cut short"),
        (b"apiVersion: abctl.dev/v1alpha1", "not compressed with gzip"),
        (gzip.compress(b"\xff", mtime=0), "not JSON"),
        (gzip.compress(b"[" * 100_000, mtime=0), "not JSON"),
        (gzip.compress(b"[]", mtime=0), "not of the kind Evidence"),
    ],
)
def test_what_was_never_evidence_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "e.json.gz"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message):
        file.load(path, Everything)


def test_sizes_are_bounded(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = file.load(example, Everything)
    with pytest.raises(UsageError, match="No such file or directory"):
        file.save(tmp_path / "missing" / "e.json.gz", saved)
    for what, words in ((b"", "bytes"), (b",", "values"), (b"[", "lists"), (b"{", "mappings")):
        monkeypatch.setitem(file._MOST, what, 3)
        with pytest.raises(SourceError, match=f"over 3 {words} when unpacked"):
            file.load(example, Everything)
        with pytest.raises(SourceError, match=f"over 3 {words} when unpacked"):
            file.save(tmp_path / "other.json.gz", saved)
        monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["e.json.gz"]


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
        file.load(path, Everything)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 400 * 2**10


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_has_the_mode_that_the_umask_leaves(
    example: Path, tmp_path: Path, mask: int
) -> None:
    saved, path = file.load(example, Everything), tmp_path / "other.json.gz"
    before = os.umask(mask)
    try:
        file.save(path, saved)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        file.load(tmp_path / "none", Everything)
    with pytest.raises(SourceError, match="a folder, not a file"):
        file.load(tmp_path, Everything)


def test_a_file_answers_nothing_new() -> None:
    with pytest.raises(SourceError, match=r"e.json.gz is saved evidence") as caught:
        file.open_source({"path": "e.json.gz"})
    assert caught.value.hint == "abctl analyze --from e.json.gz"
