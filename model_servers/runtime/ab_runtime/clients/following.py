"""Follows a log that a proxy (nginx) writes to a file in memory, and erases what was read.

A line is what `Counting` takes, and behind it the unit as JSON has it. The ids of users are in it,
so nothing of it stays: the pages of the file are given back, and the rest of the last one is zero.
Who starts anew goes on where the last one ended.
"""

import json
import mmap
import os
from collections.abc import Callable

_CHUNK = 256 * 1024  # holds many lines: the longest header of a request makes 48 KB
_PAGE = mmap.ALLOCATIONGRANULARITY


class Following:
    """Reads a log line by line.

    Args:
        path: of the file; made where it is not there yet.
        count: takes a line and its unit.
    """

    def __init__(self, path: str, count: Callable[[bytes, bytes], None]) -> None:
        self._count = count
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._at = self._begin()
        self._unreadable, self._full, self._is_full = 0, 0, False

    def read(self) -> bool:
        """Count what is there, a part at a time; whether there was anything."""
        self._look_for_room()
        chunk = os.pread(self._file, _CHUNK, self._at)
        end = chunk.rfind(b"\n") + 1
        for line in chunk[:end].split(b"\n")[:-1]:
            self._line(line)
        if not end and len(chunk) == _CHUNK:
            # No line is as long.
            self._unreadable, end = self._unreadable + 1, _CHUNK
        if end:
            self._erase(self._at, self._at + end)
            self._at += end
        return bool(end)

    def text(self) -> str:
        """What is known to be lost, for a page of counters."""
        name = "ab_client_log_lost_total"
        return (
            f"# HELP {name} Lines that nobody counted: unreadable ones, and as one all those for "
            "which there was no room at a time\n"
            f"# TYPE {name} counter\n"
            f'{name}{{why="unreadable"}} {self._unreadable}\n'
            f'{name}{{why="full"}} {self._full}\n'
        )

    def _begin(self) -> int:
        """Where the first byte is that was not erased."""
        size = os.fstat(self._file).st_size
        try:
            at = os.lseek(self._file, 0, os.SEEK_DATA)
        except OSError:  # there is none
            return size
        while chunk := os.pread(self._file, _CHUNK, at):
            if rest := chunk.lstrip(b"\0"):
                return at + len(chunk) - len(rest)
            at += len(chunk)
        return size

    def _line(self, text: bytes) -> None:
        line, quote, unit = text.rpartition(b' "')
        try:
            # JSON knows no bytes; these are of any encoding.
            named = json.loads(f'"{unit.decode("latin-1")}').encode("latin-1")
        except ValueError:
            quote = b""
        if quote:
            self._count(line, named)
        else:
            self._unreadable += 1

    def _erase(self, start: int, end: int) -> None:
        first, last = start // _PAGE * _PAGE, end // _PAGE * _PAGE
        if last > first:
            with mmap.mmap(self._file, last - first, offset=first) as pages:
                pages.madvise(mmap.MADV_REMOVE)
        rest = max(start, last)
        os.pwrite(self._file, bytes(end - rest), rest)

    def _look_for_room(self) -> None:
        was, self._is_full = self._is_full, os.fstatvfs(self._file).f_bavail == 0
        self._full += self._is_full and not was
