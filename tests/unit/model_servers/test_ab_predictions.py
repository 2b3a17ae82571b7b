"""The log of predictions: what is in a line, who is in the sample, and what a full disk does."""

import json
import logging
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ab_runtime import predictions
from ab_runtime.errors import StartError
from ab_runtime.predictions import Asked, Line, Log, line, named, values

KEY = b"k" * 32


def of(request_id: str, **more: Any) -> Line:
    found = Line(1.5, request_id, "u", "3", "control", "iris", "v1", 0.25, "2xx", [1])
    for name, value in more.items():
        setattr(found, name, value)
    return found


def made(folder: Path, **more: Any) -> tuple[Log, list[float]]:
    counts = [0.0, 0.0]
    return Log(Asked(folder, **more), "salt", KEY, counts), counts


def ids(folder: Path) -> list[str]:
    files = [*predictions.rotated(folder), folder / predictions.FILE]
    return [json.loads(each)["id"] for file in files for each in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AB_LOG_SHARE", "0"),
        ("AB_LOG_SHARE", "1.1"),
        ("AB_LOG_SHARE", "nan"),
        ("AB_LOG_SHARE", "some"),
        ("AB_LOG_UNITS", "md5"),
        ("AB_LOG_MAX_BYTES", "1"),
        ("AB_LOG_MAX_BYTES", "1GB"),
    ],
)
def test_a_setting_that_cannot_be_ends_the_start(name: str, value: str) -> None:
    with pytest.raises(StartError, match=name):
        Asked.from_environment({"AB_LOG": "x", name: value})
    assert Asked.from_environment({name: value}) is None


def test_whatever_a_client_sends_is_small_json_in_ascii() -> None:
    deep: Any = 7
    for _ in range(2000):
        deep = [deep]
    odd = [float("nan"), float("inf"), b"\xff\x1b", "\x9b\x7f\n", 2**70, None, True, np.float32(2)]
    assert values(odd)[:5] == [None, None, "\ufffd\x1b", "\x9b\x7f\n", None]
    assert values(odd)[5:] == [None, True, 2.0]
    assert values(deep) == []
    assert values([[]] * 10**6) == []
    assert values(np.arange(100).reshape(10, 10)) == list(range(16))
    text = line(of("\x00\u2028\ud800", inputs={"rows": values(["x" * 10**6, *odd])}))
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 1000
    assert json.loads(text)["id"] == "\x00\u2028\ud800"
    tensors = [{"name": "a", "data": [1]}, {"name": "b", "data": [2]}]
    assert named(tensors, ("b", "c")) == {"b": [2]}


def test_a_user_is_in_the_sample_with_all_requests_or_none(tmp_path: Path) -> None:
    log, _ = made(tmp_path, share=0.25)
    users = [f"u{i}" for i in range(2000)]
    seen = [{log.wants(user, f"r{i}") for i in range(3)} for user in users]
    assert all(len(each) == 1 for each in seen)
    assert sum(each == {True} for each in seen) == pytest.approx(500, abs=100)
    log.close()


def test_units_are_hashed_unless_asked_otherwise(tmp_path: Path) -> None:
    log, _ = made(tmp_path / "a")
    plain, _ = made(tmp_path / "b", plain=True)
    assert plain.unit("alice") == "alice"
    hashed = log.unit("alice")
    assert hashed is not None
    assert "alice" not in hashed
    assert hashed == log.unit("alice") != log.unit("bob")
    assert log.unit(None) is plain.unit(None) is None
    log.close()
    plain.close()


def test_files_are_rotated_and_bounded_and_end_with_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_EVERY_SECONDS", 1000.0)  # it is told here when to write
    most = 8 * 64 * 1024
    log, counts = made(tmp_path, most_bytes=most)
    for part in range(20):
        for i in range(500):
            log.add(of(f"{part}-{i}" + "x" * 100))
        log._write()
    log.close()
    assert counts == [10_000, 0]
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= most
    found = ids(tmp_path)
    assert 1000 < len(found) < 10_000
    assert found[-1].startswith("19-499")
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}
    # Half a line, as a server leaves it that was killed, is not continued.
    with (tmp_path / predictions.FILE).open("a") as file:
        file.write('{"at":')
    log, _ = made(tmp_path, most_bytes=most)
    log.add(of("last"))
    log.close()
    assert ids(tmp_path)[-1] == "last"


def test_what_finds_no_room_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_EVERY_SECONDS", 1000.0)
    log, counts = made(tmp_path)
    for i in range(predictions._MOST_WAITING + 5):
        log.add(of(str(i)))
    assert counts == [0, 5]
    log.close()
    assert counts == [predictions._MOST_WAITING, 5]


def test_two_servers_do_not_write_into_one_folder(tmp_path: Path) -> None:
    log, _ = made(tmp_path)
    with pytest.raises(StartError, match="another server"):
        made(tmp_path)
    log.close()


@pytest.fixture
def full() -> Iterator[None]:
    """No file of this process may grow over 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow_is_told_once_and_holds_whole_lines(
    tmp_path: Path, full: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "mlserver"):
        log, counts = made(tmp_path)
        for i in range(1000):
            log.add(of(str(i)))
        log.close()
    assert [each for each in caplog.records if "not written" in each.message] == caplog.records[:1]
    assert counts[1] > 0
    assert sum(counts) == 1000
    assert len(ids(tmp_path)) == counts[0]


def test_the_standard_output_gets_whole_lines_between_those_of_others(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log, counts = made(Path(predictions.STDOUT))
    os.write(1, b"ready\n")
    for number in range(200):
        log.add(of(f"r{number}"))
    log.close()
    os.write(1, b"ended\n")
    first, *lines, last = capfd.readouterr().out.splitlines()
    assert (first, last, counts) == ("ready", "ended", [200.0, 0.0])
    assert [json.loads(each)["id"] for each in lines] == [f"r{number}" for number in range(200)]
    assert not Path(predictions.STDOUT).exists()
