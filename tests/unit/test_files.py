"""Files as users name them: what is none is refused at once, and none is ever half written."""

import errno
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from abctl import files
from abctl.errors import UsageError


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


NO_FILES: list[tuple[Callable[[Path], object], str]] = [
    (fifo, "a FIFO, not a file"),
    (unix_socket, "a socket, not a file"),
    (Path.mkdir, "a folder, not a file"),
    (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    (lambda path: path.symlink_to(path), "Too many levels"),
    (lambda _: None, "No such file"),
]


@pytest.mark.parametrize(("make", "words"), NO_FILES)
def test_what_is_no_file_is_not_waited_for(
    make: Callable[[Path], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = Path("it")
    make(path)
    with pytest.raises(OSError, match=words):
        files.read(path)


def test_what_can_be_no_name_is_none() -> None:
    with pytest.raises(OSError, match="no name of a file"):
        files.read(Path("a\0b"))


def test_no_more_is_read_than_can_be(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(OSError, match="over 1,000 bytes"):
        files.read(path, 1_000)


def test_what_a_shell_puts_in_the_place_of_a_file_is_read() -> None:
    out, into = os.pipe()
    os.write(into, b"content")
    os.close(into)
    try:
        assert files.read(Path(f"/dev/fd/{out}")) == b"content"
    finally:
        os.close(out)


def test_a_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"content")))
    assert files.read(Path("-")) == b"content"


@contextmanager
def room(size_bytes: int) -> Iterator[None]:
    """The disk is full after so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("before", [None, "before"])
def test_a_full_disk_leaves_what_was_there(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if before:
        path.write_text(before)
    with room(1_000), pytest.raises(UsageError, match="file cannot be written: File too large"):
        files.replace(path, "x" * 2_000)
    assert [each.read_text() for each in tmp_path.iterdir()] == ([before] if before else [])


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_who_may_read_a_file_stays_the_same(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    files.replace(path, "text")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == "text"


def test_an_interruption_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def interrupted() -> None:
        with files.replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(("make", "words"), NO_FILES[:3])
def test_what_is_no_file_is_not_replaced_by_one(
    make: Callable[[Path], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("it")
    make(path)
    with pytest.raises(UsageError, match=words):
        files.replace(path, "text")
    assert not path.is_file()


def test_a_link_leads_to_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    files.replace(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize(
    ("place", "hint"),
    [
        ("none/file", "is its folder there?"),
        ("/proc/file", "is its folder there?"),
        ("/sys/file", "can you read and write there? else name another place"),
        ("x" * 300, "give it a shorter name"),
        ("file/file", "a part of that path is a file: name another place"),
    ],
)
def test_where_nothing_can_be_written_the_hint_says_what_to_do(
    place: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written") as caught:
        files.replace(tmp_path / place, "text")
    assert caught.value.message.startswith(str(tmp_path / place))
    assert caught.value.hint == hint


def test_a_user_without_a_folder_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    assert files.home() is None
    monkeypatch.setenv("HOME", "/somewhere")
    assert files.home() == Path("/somewhere")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "here"), "here: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), None),
    ],
)
def test_what_the_system_refuses_is_no_bug(error: OSError, message: str | None) -> None:
    known = files.refused(error)
    assert (known and known.message) == message


def test_a_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    known = files.refused(FileNotFoundError(errno.ENOENT, "No such file"))
    monkeypatch.chdir(tmp_path)
    assert known is not None
    assert known.message == "the folder in which this runs is gone"
