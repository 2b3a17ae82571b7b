"""A log that a proxy writes to a file in memory: what is read of it, and what stays."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ab_runtime.clients.following import Following

LINE = b"control 200 via_upstream    0012 true"
Counted = list[tuple[bytes, bytes]]


class Log:
    """As nginx writes it: at its end, wherever that is."""

    def __init__(self, path: Path) -> None:
        self.path, self.counted = path, Counted()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, text: bytes) -> None:
        os.write(self._file, text)

    def follow(self) -> Following:
        return Following(str(self.path), lambda line, unit: self.counted.append((line, unit)))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "access.log")


def lost(following: Following) -> dict[str, float]:
    [family] = text_string_to_metric_families(following.text())
    return {sample.labels["why"]: sample.value for sample in family.samples}


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        (b"ann", b"ann"),
        (b"", b""),
        (b"a b", b"a b"),
        (rb"\"a\" \"b", b'"a" "b'),
        (rb"back\\slash", b"back\\slash"),
        (rb"tab\t\u0001", b"tab\t\x01"),
        (b"Zo\xc3\xab", b"Zo\xc3\xab"),
        (b"Zo\xeb", b"Zo\xeb"),
    ],
)
def test_the_unit_is_what_the_client_sent(log: Log, written: bytes, unit: bytes) -> None:
    log.write(LINE + b' "' + written + b'"\n')
    assert log.follow().read()
    assert log.counted == [(LINE, unit)]


def test_half_a_line_waits_for_its_other_half(log: Log) -> None:
    following = log.follow()
    log.write(LINE + b' "an')
    assert not following.read()
    log.write(b'n"\n')
    assert following.read()
    assert log.counted == [(LINE, b"ann")]
    assert not following.read()


def test_what_was_read_is_erased_and_takes_no_room(log: Log) -> None:
    following, number = log.follow(), 20_000
    for i in range(number):
        log.write(LINE + b' "user-%d"\n' % i)
    before = log.path.stat().st_blocks
    while following.read():
        pass
    assert [unit for _, unit in log.counted] == [b"user-%d" % i for i in range(number)]
    assert not log.path.read_bytes().strip(b"\0")
    assert log.path.stat().st_blocks < before / 10
    assert lost(following) == {"unreadable": 0, "full": 0}


@pytest.mark.parametrize("first", [0, 1, 3000])
def test_who_starts_anew_goes_on_where_the_last_one_ended(log: Log, first: int) -> None:
    following = log.follow()
    for _ in range(first):
        log.write(LINE + b' "before"\n')
    while following.read():
        pass
    log.counted.clear()
    log.write(LINE + b' "after"\n')
    following = log.follow()
    while following.read():
        pass
    assert log.counted == [(LINE, b"after")]


@pytest.mark.parametrize("text", [b"\n", b"nonsense\n", b'control "\n', b'a "\\x"\n'])
def test_what_is_no_line_is_told(log: Log, text: bytes) -> None:
    log.write(text + LINE + b' "ann"\n')
    following = log.follow()
    following.read()
    assert log.counted == [(LINE, b"ann")]
    assert lost(following)["unreadable"] == 1


def test_a_log_without_room_is_told_once_each_time(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    following, room = log.follow(), [0, 0, 8, 0]
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=room.pop(0)))
    while room:
        following.read()
    assert lost(following)["full"] == 2
