"""The log of predictions: a line of JSON for each request, if asked; no answer ever waits for it.

Lines go through a bounded queue to a thread that writes them, into files that are rotated or to the
standard output. What finds no room is dropped and counted.

>>> print(line(Line(0.0, "r1", "u1", "7", "control", "iris", "v1", 0.0015, "2xx", [2])))
{"at":"1970-01-01T00:00:00.000Z","id":"r1","unit":"u1","bucket":"7","variant":"control",\
"model":"iris","version":"v1","latencySeconds":0.0015,"code":"2xx","prediction":[2]}
"""

import fcntl
import json
import logging
import math
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any

import xxhash

from ab_runtime.errors import StartError
from ab_runtime.token import hashed

_LOG = logging.getLogger("mlserver")
FILE = "predictions.jsonl"
STDOUT = "-"
_STDOUT_FD = 1
_FILES = 8
_LEAST_BYTES = 64 * 1024
_MOST_WAITING = 10_000
_EVERY_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_AT_ONCE = 64
_MOST_VALUES = 16
_MOST_CHARACTERS = 200
_MOST_STEPS = 100
_SCALE = 2**64
_END = object()


@dataclass(frozen=True)
class Asked:
    """What is written, and where.

    `share` is of the units: one is in the log with all of its requests or with none. `inputs` are
    the names of those that are written. `plain` writes units as they are, instead of a keyed hash.
    `most_bytes` is what all files together may take.
    """

    folder: Path
    share: float = 1.0
    inputs: tuple[str, ...] = ()
    plain: bool = False
    most_bytes: int = 256 * 1024 * 1024

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Asked | None":
        """Read AB_LOG (a folder, `-` for stdout; none: no log), AB_LOG_SHARE (1), AB_LOG_INPUTS ().

        AB_LOG_UNITS is `hash` or `plain`, AB_LOG_MAX_BYTES 256 MiB unless said otherwise.

        Raises:
            StartError: a value that cannot be.
        """
        if not (folder := environment.get("AB_LOG", "")):
            return None
        given = environment.get("AB_LOG_SHARE", "1")
        try:
            share = float(given)
        except ValueError:
            share = math.nan
        if not 0 < share <= 1:
            raise StartError(f"AB_LOG_SHARE={given!r}, must be over 0 and at most 1")
        units = environment.get("AB_LOG_UNITS", "hash")
        if units not in ("hash", "plain"):
            raise StartError(f"AB_LOG_UNITS={units!r}, must be hash or plain")
        most = environment.get("AB_LOG_MAX_BYTES", str(cls.most_bytes))
        if not (most.isdecimal() and int(most) >= _FILES * _LEAST_BYTES):
            raise StartError(f"AB_LOG_MAX_BYTES={most!r}, must be at least {_FILES * _LEAST_BYTES}")
        named = environment.get("AB_LOG_INPUTS", "").split(",")
        inputs = tuple(filter(None, map(str.strip, named)))
        return cls(Path(folder), share, inputs, units == "plain", int(most))


@dataclass(slots=True)
class Line:
    """What is known of a request: everything in it is small, whatever the client sent."""

    at: float
    id: str | None
    unit: str | None
    bucket: str
    variant: str
    model: str
    version: str | None
    latency_seconds: float
    code: str
    prediction: list[Any] | None = None
    token: str | None = None
    inputs: dict[str, list[Any]] = field(default_factory=dict)


class Log:
    """Takes lines, and writes them when there is time."""

    def __init__(self, asked: Asked, salt: str, key: bytes, counts: list[float]) -> None:
        """Of an experiment with that salt; `key` hashes units.

        `counts` are how many lines were written and how many dropped, which it keeps.
        """
        self.inputs = asked.inputs
        self._plain = asked.plain
        self._below = asked.share * _SCALE
        self._salt, self._key = f"log:{salt}:", key
        self._counts = counts
        self._waiting: deque[Line] = deque()
        self._end = Event()
        self._files = _Stdout() if str(asked.folder) == STDOUT else _Files(asked)
        self._thread = Thread(target=self._run, name="predictions", daemon=True)
        self._missing_bytes = 0  # what did not fit, less what did since
        self._thread.start()

    def wants(self, unit: str | None, request_id: str | None) -> bool:
        """Whether a unit is in the sample; a request without one is its own."""
        if self._below >= _SCALE:
            return True
        # What was refused before it was read has neither.
        drawn = self._salt + (unit or request_id or str(time.perf_counter()))
        return xxhash.xxh64_intdigest(drawn.encode("utf-8", "surrogatepass")) < self._below

    def unit(self, unit: str | None) -> str | None:
        """A unit as it is written."""
        if unit is None or self._plain:
            return short(unit)
        return hashed(unit, self._key).hex()

    def add(self, each: Line) -> None:
        """Take a line, or drop it where too many wait."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(each)
        else:
            self._counts[1] += 1.0

    def close(self) -> None:
        """Write what waits, and end."""
        self._end.set()
        self._thread.join()
        self._files.close()

    def _run(self) -> None:
        while not self._end.wait(_RETRY_SECONDS if self._missing_bytes else _EVERY_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        while waiting := [
            self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))
        ]:
            content = b"\n"
            try:
                content = "".join([line(each) + "\n" for each in waiting]).encode()
                self._files.write(content)
            except (OSError, ValueError) as error:
                self._counts[1] += len(waiting)
                if not self._missing_bytes:
                    _LOG.warning("the log of predictions is not written: %s", error)
                self._missing_bytes = max(self._missing_bytes, len(content))
            else:
                self._counts[0] += len(waiting)
                self._found_room(len(content))

    def _found_room(self, size: int) -> None:
        """A few lines may fit in what is left of a full disk: they do not make it free."""
        if self._missing_bytes:
            self._missing_bytes = max(0, self._missing_bytes - size)
            if not self._missing_bytes:
                _LOG.warning("the log of predictions is written again")


class _Stdout:
    """Where whoever gathers the logs of pods reads it; nothing is kept here."""

    def write(self, content: bytes) -> None:
        """Write whole lines, between those of others."""
        view = memoryview(content)
        while view:
            view = view[os.write(_STDOUT_FD, view) :]

    def close(self) -> None:
        """Others go on writing there."""


class _Files:
    """The file that is written, and those that were: each as large as an eighth of all."""

    def __init__(self, asked: Asked) -> None:
        self._folder = asked.folder
        self._most = asked.most_bytes // _FILES
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = self._opened()
        except BlockingIOError:
            raise StartError(f"AB_LOG={self._folder}: another server writes there") from None
        except OSError as error:
            raise StartError(f"AB_LOG={self._folder}: {error.strerror}") from None
        self._cut_at_a_line()

    def write(self, content: bytes) -> None:
        """Append whole lines, or nothing of them."""
        size = self._file.tell()
        if size and size + len(content) > self._most:
            self._rotate()
            size = 0
        try:
            view = memoryview(content)
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            self._file.truncate(size)
            self._file.seek(size)
            raise

    def close(self) -> None:
        """Let others write there."""
        self._file.close()
        os.close(self._lock)

    def _opened(self) -> IO[bytes]:
        found = os.open(self._folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
        file = os.fdopen(found, "r+b", buffering=0)
        file.seek(0, os.SEEK_END)
        return file

    def _rotate(self) -> None:
        older = self._folder / f"{FILE.removesuffix('.jsonl')}-{time.time_ns():020d}.jsonl"
        with suppress(FileNotFoundError):  # somebody removed it, or it was moved before
            (self._folder / FILE).rename(older)
        file, self._file = self._file, self._opened()
        file.close()
        for each in rotated(self._folder)[: 1 - _FILES]:
            each.unlink(missing_ok=True)

    def _cut_at_a_line(self) -> None:
        """Drop half a line, which a server left that was killed."""
        size = self._file.tell()
        at = max(0, size - _LEAST_BYTES)
        self._file.seek(at)
        end = at + self._file.read().rfind(b"\n") + 1
        self._file.truncate(end)
        self._file.seek(end)


def rotated(folder: Path) -> list[Path]:
    """The files that are full, the oldest first."""
    return sorted(folder.glob(FILE.replace(".jsonl", "-*.jsonl")))


def line(each: Line) -> str:
    """A line as it is written: ASCII, with all else escaped."""
    at = datetime.fromtimestamp(each.at, UTC).isoformat(timespec="milliseconds")
    content = {
        "at": at.replace("+00:00", "Z"),
        "id": each.id,
        "unit": each.unit,
        "bucket": each.bucket,
        "variant": each.variant,
        "model": each.model,
        "version": each.version,
        "latencySeconds": round(each.latency_seconds, 6),
        "code": each.code,
        "prediction": each.prediction,
        **({} if each.token is None else {"token": each.token}),
        **({"inputs": each.inputs} if each.inputs else {}),
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False, default=str)
    return text.replace("\x7f", "\\u007f")


def short(text: str | None) -> str | None:
    """A text that a client has chosen, not at length."""
    return text if text is None else text[:_MOST_CHARACTERS]


def values(data: Any) -> list[Any]:
    """The first values of a tensor, row by row, each of them small.

    >>> values([[1.5, float("nan")], [b"a", "b" * 1000]])[:3]
    [1.5, None, 'a']
    """
    return [_value(each) for each in islice(_flat(data), _MOST_VALUES)]


def named(tensors: Sequence[Any], names: Sequence[str]) -> dict[str, list[Any]]:
    """Those of a request's inputs that have these names, whatever form the request has."""
    found = {}
    for each in tensors:
        plain = isinstance(each, dict)
        name = each["name"] if plain else each.name
        if name in names:
            found[name] = values(each["data"] if plain else each.data.root)
    return found


def _flat(data: Any) -> Iterator[Any]:
    """What is in lists within lists; only so many steps, for a client has nested them."""
    within: list[Iterator[Any]] = [iter((data,))]
    for _ in range(_MOST_STEPS):
        if not within:
            return
        each: Any = next(within[-1], _END)
        if each is _END:
            within.pop()
        elif isinstance(each, str | bytes) or not getattr(each, "shape", hasattr(each, "__iter__")):
            yield each
        else:
            within.append(iter(each))


def _value(each: Any) -> Any:
    if isinstance(each, bytes):
        each = each[: 4 * _MOST_CHARACTERS].decode(errors="replace")
    elif hasattr(each, "item"):
        each = each.item()
    if isinstance(each, float):
        return each if math.isfinite(each) else None
    if each is None or isinstance(each, bool):
        return each
    if isinstance(each, int):
        return each if abs(each) < _SCALE else None
    return str(each)[:_MOST_CHARACTERS]
