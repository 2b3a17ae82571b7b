"""The standard streams, as any caller may leave them: closed, full, or with nobody to read them.

Data that cannot be written are an error, remarks that cannot be written are lost: nobody fails
because nobody listens. A reader of the data that leaves early has what it wanted.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, RawIOBase, TextIOWrapper
from typing import Any

from abctl.errors import UsageError
from abctl.files import unwritten


@contextmanager
def sound() -> Iterator[None]:
    """Streams that can be used whatever they are, until the end."""
    _occupy()
    before = sys.stdin, sys.stdout, sys.stderr
    if sys.stdin is None:
        sys.stdin = TextIOWrapper(BufferedReader(_Closed()))
    sys.stdout = _around(sys.stdout, 1, _Data)
    sys.stderr = _around(sys.stderr, 2, _Remarks)
    ours = sys.stdout, sys.stderr
    try:
        yield
    finally:
        for stream in ours:
            with suppress(UsageError, OSError):  # which was told already
                stream.flush()
            stream.detach()
        sys.stdin, sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Put something into the place of what is closed, or the next file would be taken for it.

    What was stdout can still not be written; what was stderr goes nowhere.
    """
    for descriptor, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free


def _around(stream: Any, descriptor: int, kind: type["_Stream"]) -> "_Stream":
    if stream is None:
        return kind(os.fdopen(descriptor, "wb", closefd=False), encoding="utf-8")
    # What the terminal has no character for is shown by its number.
    return kind(stream.buffer, encoding=stream.encoding, errors="backslashreplace")


class _Closed(RawIOBase):
    """A stdin that was closed."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any) -> int:
        raise UsageError("stdin is closed", "give it something to read: < FILE, or a pipe")


class _Stream(TextIOWrapper):
    """Tells once that it cannot be written."""

    def write(self, text: str) -> int:
        with self._may_fail():
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with self._may_fail():
            super().flush()

    @contextmanager
    def _may_fail(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is left in the buffers, and all that follows, goes nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        raise NotImplementedError


class _Data(_Stream):
    def _fail(self, error: OSError) -> None:
        if error.errno == errno.EBADF:
            raise UsageError("stdout is closed", "let it lead somewhere, such as > FILE")
        raise error if isinstance(error, BrokenPipeError) else unwritten(error, "stdout")


class _Remarks(_Stream):
    def _fail(self, error: OSError) -> None:
        pass
