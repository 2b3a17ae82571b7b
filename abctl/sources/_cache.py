"""Answers of a source about times that are over, kept in a folder.

A cache must not change a result. So an answer is kept only if it is about times that are long
over; its file is named by everything that the question depends on, and holds that as well; a file
that is damaged is thrown away; and the first answer that is found, if it is not empty, is asked for
once more: where it differs, the server is another one or has forgotten, and nothing is taken from
the cache.
"""

import hashlib
import json
import os
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from abctl.sources import Outline, Series, Source

# Late samples, from other servers or out of order, have come by then.
_FINAL_SECONDS = 3600.0
_LARGEST_BYTES = 2**29
_SMALLEST_FILE_BYTES = 4096
_FORMAT = 1

Answer = TypeVar("Answer", list[Series], Outline)
_Arrays = Mapping[str, NDArray[Any]]


def remembered(source: Source, now: float) -> Source:
    """The source, with a cache where it says as what it may be kept.

    Args:
        source: that is asked.
        now: its clock.
    """
    name = getattr(source, "cached_as", None)
    return Remembered(source, cache_folder(), name, now) if name else source


def cache_folder() -> Path:
    """Where answers are kept: `$XDG_CACHE_HOME/abctl/evidence`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "abctl" / "evidence"


class Remembered:
    """A source that is asked only once about what is over; see `Source`.

    Args:
        source: that is asked.
        folder: of all caches.
        name: everything that answers of the source depend on besides the question.
        now: the clock of the source.
    """

    def __init__(self, source: Source, folder: Path, name: str, now: float) -> None:
        self.place = source.place
        self._source = source
        self._folder = folder / hashlib.sha256(name.encode()).hexdigest()[:32]
        self._name = name
        self._final = now - _FINAL_SECONDS
        self._lock = threading.Lock()
        self._trusted: bool | None = None

    def now(self) -> float:
        """The source's clock."""
        return self._source.now()

    def retention_seconds(self) -> float | None:
        """As the source says."""
        return self._source.retention_seconds()

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        """Raw samples in (start, end]."""
        return self._answer(
            ["series", selector, round(start * 1000), round(end * 1000)],
            end,
            lambda: self._source.series(selector, start, end),
            (_series_to_arrays, _series_of_arrays),
        )

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        """What series did, cell by cell."""
        ms = np.rint(edges * 1000.0).astype(np.int64).tolist()
        return self._answer(
            ["outline", selector, ms, round(since * 1000)],
            float(edges[-1]),
            lambda: self._source.outline(selector, edges, since),
            (_outline_to_arrays, _outline_of_arrays),
        )

    def _answer(
        self,
        question: list[Any],
        end: float,
        ask: Callable[[], Answer],
        form: tuple[Callable[[Answer], _Arrays], Callable[[_Arrays], Answer]],
    ) -> Answer:
        if end > self._final or self._trusted is False:
            return ask()
        key = json.dumps([_FORMAT, self._name, question])
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
        if (kept := _load(path, key)) is not None:
            with self._lock:
                if self._trusted is None:
                    answer = ask()
                    if not _same(form[0](answer), kept):
                        self._trusted = False
                    elif kept["labels"].tobytes() != b"[]":
                        self._trusted = True
                    return answer
            if self._trusted:
                return form[1](kept)
        answer = ask()
        if self._trusted is not False:
            _save(path, key, form[0](answer))
        return answer

    def tidy(self) -> None:
        """Throw away what is wrong, and what was not used for the longest time if it is too much.

        A folder that cannot be written is no reason to give up an analysis.
        """
        files = []
        for path in self._folder.parent.glob("*/*"):
            try:
                stat = path.stat()
                if self._trusted is False and path.parent == self._folder:
                    path.unlink()
                else:
                    files.append((stat.st_mtime, max(stat.st_size, _SMALLEST_FILE_BYTES), path))
            except OSError:
                continue
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= _LARGEST_BYTES:
                break
            with suppress(OSError):
                path.unlink()
            total -= size


def _load(path: Path, key: str) -> _Arrays | None:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        if found.pop("key").tobytes() == key.encode():
            os.utime(path)
            return found
    except OSError:
        return None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass
    with suppress(OSError):
        path.unlink()
    return None


def _save(path: Path, key: str, arrays: _Arrays) -> None:
    """Write a file, whole or not at all; where that fails, the answer is asked for next time."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".part")
    except OSError:
        return
    try:
        named: Any = {"key": _text(key), **arrays}
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **named)
        Path(unfinished).replace(path)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)


def _text(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _same(one: _Arrays, other: _Arrays) -> bool:
    return one.keys() == other.keys() and all(
        one[name].shape == other[name].shape and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def _series_to_arrays(series: list[Series]) -> _Arrays:
    ordered = sorted(series, key=lambda s: json.dumps(s.labels, sort_keys=True))
    nothing = [np.array([])]
    return {
        "labels": _text(json.dumps([dict(s.labels) for s in ordered], sort_keys=True)),
        "sizes": np.array([len(s.times) for s in ordered], np.int64),
        "times": np.concatenate(nothing + [s.times for s in ordered]),
        "values": np.concatenate(nothing + [s.values for s in ordered]),
    }


def _series_of_arrays(arrays: _Arrays) -> list[Series]:
    labels = json.loads(arrays["labels"].tobytes())
    ends = np.cumsum(arrays["sizes"])[:-1]
    times, values = np.split(arrays["times"], ends), np.split(arrays["values"], ends)
    return [Series(*each) for each in zip(labels, times, values, strict=True)] if labels else []


def _outline_to_arrays(outline: Outline) -> _Arrays:
    texts = [json.dumps(dict(each), sort_keys=True) for each in outline.labels]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return {
        "labels": _text(f"[{','.join(texts[i] for i in order)}]"),
        "last": outline.last[order],
        "drops": outline.drops[order],
    }


def _outline_of_arrays(arrays: _Arrays) -> Outline:
    return Outline(json.loads(arrays["labels"].tobytes()), arrays["last"], arrays["drops"])
