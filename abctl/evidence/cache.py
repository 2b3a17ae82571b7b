"""What was read of a source about times that are over, kept in a folder.

A cache must not change a result. So only what is long over is kept; a file is named by everything
that answers depend on, and holds that as well; one that is damaged is thrown away. Whoever uses
what was kept asks for some of it once more: see `abctl.evidence.read`.
"""

import hashlib
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abctl.files import home
from abctl.forms.counters import FORMAT
from abctl.sources import Source

_log = logging.getLogger(__name__)
# Late samples, from other servers or out of order, have come by then.
_FINAL_SECONDS = 3600.0
_LARGEST_BYTES = 2**29
_SMALLEST_FILE_BYTES = 4096

Arrays = Mapping[str, NDArray[Any]]


def cache_of(source: Source, now: float) -> "Cache | None":
    """A cache for a source; None where it does not say as what its answers may be kept, or where.

    Args:
        source: that is asked.
        now: its clock.
    """
    name = getattr(source, "cached_as", None)
    folder = cache_folder()
    return Cache(folder, name, now) if name and folder else None


def cache_folder() -> Path | None:
    """Where it is kept: `$XDG_CACHE_HOME/abctl/evidence`; None for a user who has no folder."""
    given, own = os.environ.get("XDG_CACHE_HOME"), home()
    folder = Path(given) if given else own and own / ".cache"
    return folder and folder / "abctl" / "evidence"


class Cache:
    """Files of arrays.

    Args:
        folder: of all caches.
        name: everything that answers of the source depend on besides the question.
        now: the clock of the source.

    Attributes:
        final: up to when nothing changes any more, unix seconds.
    """

    def __init__(self, folder: Path, name: str, now: float) -> None:
        self._folder = folder / hashlib.sha256(name.encode()).hexdigest()[:32]
        self._name = name
        self.final = now - _FINAL_SECONDS

    def load(self, question: Sequence[Any]) -> Arrays | None:
        """What was kept for a question; None for nothing."""
        path, key = self._path(question)
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            if found.pop("key").tobytes() == key:
                os.utime(path)
                _log.info("from the cache: %s", path)
                return found
        except OSError:
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            pass
        with suppress(OSError):
            path.unlink()
        return None

    def save(self, question: Sequence[Any], arrays: Arrays) -> None:
        """Keep arrays, whole or not at all; where that fails, they are read again next time."""
        path, key = self._path(question)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".part")
        except OSError:
            return
        try:
            named: Any = {"key": np.frombuffer(key, np.uint8), **arrays}
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, **named)
            Path(unfinished).replace(path)
        except OSError:
            Path(unfinished).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Throw away what was not used for the longest time, if it is too much.

        A folder that cannot be written is no reason to give up an analysis.
        """
        files = []
        for path in self._folder.parent.glob("*/*"):
            with suppress(OSError):
                stat = path.stat()
                files.append((stat.st_mtime, max(stat.st_size, _SMALLEST_FILE_BYTES), path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= _LARGEST_BYTES:
                break
            with suppress(OSError):
                path.unlink()
            total -= size

    def _path(self, question: Sequence[Any]) -> tuple[Path, bytes]:
        key = json.dumps([FORMAT, self._name, *question]).encode()
        return self._folder / f"{hashlib.sha256(key).hexdigest()}.npz", key
