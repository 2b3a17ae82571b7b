"""Files that a user names: read within bounds, and never half written.

Reading raises OSError, as opening does, with words for people in `strerror`: who reads knows best
what the file should have been. Where a file is meant, a FIFO would be waited for and a device may
never end; what a shell puts in the place of a file (`<(...)`) is read as one.
"""

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from abctl.errors import UsageError

STDIN = "-"  # where something is written: stdout
_OF_THE_SHELL = re.compile(r"/dev/stdin|/dev/fd/\d+|/proc/self/fd/\d+")
_KINDS = {
    stat.S_IFIFO: "a FIFO, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}
_REMEDIES = {
    errno.ENOENT: "is its folder there?",
    errno.ENOTDIR: "a part of that path is a file: name another place",
    errno.EEXIST: "a part of that path is a file: name another place",
    errno.EISDIR: "name a file in it",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EROFS: "that file system is read-only: name another place",
    errno.ENOSPC: "make room there, or name another place",
    errno.EDQUOT: "make room there, or name another place",
    errno.EFBIG: "make room there (ulimit -f says how large a file may be), or name another place",
    errno.EINVAL: "name a file, new or old",
    errno.EMFILE: "ulimit -n says how many files may be open: raise it",
    errno.ENFILE: "too many files are open on this machine: end what opens them",
    errno.EIO: "the disk or the terminal is broken or gone",
}
# What can be at an end wherever anything is written or opened.
_SPENT = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
)
_OTHERWISE = "can you read and write there? else name another place"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file for reading; `-` is stdin.

    Raises:
        OSError: there is none, or it is none.
    """
    if str(path) == STDIN:
        yield sys.stdin.buffer
        return
    with os.fdopen(_descriptor(path), "rb") as file:
        yield file


def _descriptor(path: Path) -> int:
    try:
        # Without a writer the opening of a FIFO would never return.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "no name of a file", str(path)) from None
    except OSError as error:
        if error.errno == errno.ENXIO:  # what a socket says
            raise OSError(error.errno, _KINDS[stat.S_IFSOCK], str(path)) from None
        raise
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFIFO or not _OF_THE_SHELL.fullmatch(str(path)):
            _require(kind, path)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require(kind: int, path: Path) -> None:
    """Make sure that it is a file."""
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file", str(path))
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, _KINDS[kind], str(path))


def read(path: Path, most_bytes: int = 2**24) -> bytes:
    """All that a file holds; `-` is stdin.

    Raises:
        OSError: it cannot be read, or holds more.
    """
    with opened(path) as file:
        # What is far too large is not read to find that out.
        known = 0 if str(path) == STDIN else os.fstat(file.fileno()).st_size
        found = file.read(most_bytes + 1) if known <= most_bytes else b""
    if max(known, len(found)) > most_bytes:
        raise OSError(errno.EFBIG, f"over {most_bytes:,} bytes", str(path))
    return found


def as_argument(name: object) -> str:
    """A file as it can stand in a command: its name must not read as an option."""
    text = str(name)
    return f"./{text}" if text.startswith("-") and text != STDIN else text


def home() -> Path | None:
    """The user's folder; None for one of whom the system knows nothing, as in many a container."""
    found = os.path.expanduser("~")  # noqa: PTH111 - the other one fails where there is none
    return None if found == "~" else Path(found)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system refuses within is told with its place.

    Raises:
        UsageError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise unwritten(error, path) from None


def unwritten(error: OSError, path: object) -> UsageError:
    """The error for something that cannot be written; `path` where the system names none."""
    reason = error.strerror or str(error)
    return UsageError(f"{error.filename or path} cannot be written: {reason}", remedy(error))


def remedy(error: OSError) -> str:
    """What to do about it."""
    return _REMEDIES.get(error.errno or 0, _OTHERWISE)


def refused(error: OSError) -> UsageError | None:
    """The error for what the system refuses of a file, or has none left of; None for others."""
    reason, hint = error.strerror or str(error), remedy(error)
    if error.filename is not None:
        return UsageError(f"{error.filename}: {reason}", hint)
    if error.errno == errno.ENOENT and _homeless():
        return UsageError("the folder in which this runs is gone", "cd to another one")
    return UsageError(reason, hint) if error.errno in _SPENT else None


def _homeless() -> bool:
    """Whether the folder in which this runs is gone."""
    try:
        return not Path.cwd().exists()
    except OSError:
        return True


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of another once everything is in it; else nothing has changed.

    Who may read the other one may read it, and nobody else.

    Raises:
        UsageError: it cannot be written, or something that is no file is in its place.
    """
    with writing(path):
        target = Path(os.path.realpath(path))  # in a folder that is gone, nobody knows where
        part = target.parent / f".abctl-{os.urandom(6).hex()}"
        before = target.stat().st_mode if target.exists() else None
        if before is not None:
            _require(stat.S_IFMT(before), path)
        try:
            # A new one by umask, as any other file.
            with part.open("xb") as file:
                if before is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(before))
                yield file
            part.replace(target)
        except BaseException as error:
            with suppress(OSError):  # which would hide the first error
                part.unlink()
            if isinstance(error, OSError) and str(error.filename) == str(part):
                error.filename = str(path)
            raise


def replace(path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        UsageError: as for `replacing`.
    """
    with replacing(path) as file:
        file.write(text.encode())
