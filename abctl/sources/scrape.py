"""Evidence without a Prometheus: abctl reads the metrics pages itself, into a file.

`abctl scrape` does it in front of a person. The process of a local stack is
`python -m abctl.sources.scrape PORT SECONDS FILE HOST:PORT...`: it reads them every so many seconds
until it is ended, and answers on a port of its own, so that others see that it runs.

The file holds one JSON document a line, one for each page that was read: when, of which target,
and the lines of the page that are asked for. It only grows; a last line that was cut short is
no harm.
"""

import fcntl
import json
import math
import os
import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from abctl.core.selector import Selector, unescape
from abctl.errors import SourceAwayError, SourceError, UsageError
from abctl.files import opened, writing
from abctl.sources import Outline, Series
from abctl.sources._metrics_page import LARGEST_BYTES, page, parted
from abctl.sources.series import outline_of

_MOST_AT_ONCE = 16
_SCRAPES = "name a file that abctl scrape has written"
_FIRST = b'{"at": '  # of each line
START_TIME = "process_start_time_seconds"
KEPT = ("ab_", START_TIME)
_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Target:
    """A metrics page: `host:port`, and labels for all that it says."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)


def parse_target(text: str) -> Target:
    """`host:port`, or `variant=host:port`.

    Raises:
        UsageError: anything else.
    """
    variant, _, address = text.rpartition("=")
    parts = urlsplit(f"//{address}")
    try:
        known = parts.hostname and parts.port and parts.netloc == address
    except ValueError:
        known = False
    if not known or "@" in address:
        raise UsageError(f"{text!r} is not a target", "write HOST:PORT, or VARIANT=HOST:PORT")
    return Target(address, {"variant": variant} if variant else {})


class Scraper:
    """Reads metrics pages and appends them to a file.

    Args:
        path: the file; it is made if it is not there.
        targets: whose pages.
        kept: beginnings of the names of the metrics that are kept.

    Raises:
        UsageError: the file cannot be written.
        SourceError: it is not a file of scrapes, or another process writes to it.
    """

    def __init__(self, path: Path, targets: Sequence[Target], kept: Sequence[str] = KEPT) -> None:
        self._path = path
        self._targets = targets
        self._kept = tuple(kept)
        _require_own(path)
        with writing(path):
            self._file = path.open("ab+", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise SourceError(
                f"{path}: another abctl scrape writes to it", "choose another file"
            ) from None
        self._end_last_line()
        # Of the last round: who answered with something else than a metrics page, and what it was.
        self.strangers: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(min(_MOST_AT_ONCE, max(1, len(targets))))

    def _end_last_line(self) -> None:
        """Remove what a killed process has not finished."""
        end = self._file.seek(0, 2)
        self._file.seek(max(0, end - 2 * LARGEST_BYTES))
        tail = self._file.read()
        self._file.truncate(end - (len(tail) - (tail.rfind(b"\n") + 1)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        self._file.close()

    def scrape(self, at: float) -> list[str]:
        """Read every target once; gives those that did not answer with a metrics page.

        Args:
            at: unix seconds that the samples are stamped with; ascending from call to call.

        Raises:
            SourceError: it cannot be written; what was read is lost, and the file as it was.
        """
        silent, lines, self.strangers = [], [], {}
        pages = self._pool.map(page, [target.address for target in self._targets])
        for target, (text, instead) in zip(self._targets, pages, strict=True):
            if text is None:
                silent.append(f"{target.address} ({instead})" if instead else target.address)
                self.strangers |= {target.address: instead} if instead else {}
                continue
            kept = [line for line in text.splitlines() if line.startswith(self._kept)]
            document = {"at": at, "job": "scrape", "instance": target.address}
            document |= {"labels": target.labels} if target.labels else {}
            lines.append(json.dumps(document | {"samples": kept}) + "\n")
        self._append("".join(lines).encode())
        return silent

    def _append(self, text: bytes) -> None:
        """All of it or nothing: half a line would make the next one unreadable."""
        end = self._file.seek(0, 2)
        try:
            while text:
                text = text[self._file.write(text) :]
        except OSError as error:
            self._file.truncate(end)
            raise SourceError(
                f"{self._path}: {error.strerror}", "is its disk full? this reading is lost"
            ) from None


def _require_own(path: Path) -> None:
    """Make sure that a file is new, or one of scrapes: its last line may be removed."""
    if not path.exists():
        return
    with writing(path), opened(path) as file:
        first = file.read(len(_FIRST))
    if first and first != _FIRST:
        raise SourceError(f"{path}: is not a file of scrapes", "name another file")


class Scraped:
    """A file that a `Scraper` writes; see `Source` for what the methods promise."""

    def __init__(self, path: Path) -> None:
        self.place = f"{path}, scraped by abctl itself"
        self._path = path
        self._read_bytes = 0
        self._samples: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)

    def now(self) -> float:
        """The clock of this machine, which the scraper stamps samples with."""
        return time.time()

    def retention_seconds(self) -> float | None:
        """A file forgets nothing."""
        return math.inf

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        """Raw samples in (start, end]."""
        wanted = Selector.parse(selector)
        self._read_on()
        found = []
        for (series, target), samples in self._samples.items():
            labels = _labels(series) | json.loads(target)
            if wanted.matches(labels):
                array = np.array(samples)
                array = array[(array[:, 0] > start) & (array[:, 0] <= end)]
                if len(array):
                    found.append(Series(labels, array[:, 0].copy(), array[:, 1].copy()))
        return found

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        """What series did, cell by cell."""
        return outline_of(self, selector, edges, since)

    def _read_on(self) -> None:
        """Take in what was appended since the last call."""
        try:
            with opened(self._path) as file:
                file.seek(self._read_bytes)
                # Never two pages at once: a file of a month is large.
                for line in iter(partial(file.readline, 2 * LARGEST_BYTES), b""):
                    if not line.endswith(b"\n") and len(line) < 2 * LARGEST_BYTES:
                        break  # it is being written
                    self._take(line)
                    self._read_bytes += len(line)
        except FileNotFoundError:
            raise SourceAwayError(
                f"{self._path}: no page was scraped yet",
                "abctl scrape fills it; on a local stack: abctl local status",
            ) from None
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}", _SCRAPES) from None

    def _take(self, line: bytes) -> None:
        """A page."""
        try:
            found = json.loads(line)
            labels = {"job": found["job"], "instance": found["instance"]}
            target = json.dumps(found.get("labels", {}) | labels)
            at = float(found["at"])
            for sample in found["samples"]:
                series, value = parted(sample)
                self._samples[series, target].append((at, value))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise SourceError(
                f"{self._path}: {line[:60]!r} is not a page of samples", _SCRAPES
            ) from None


def _labels(series: str) -> dict[str, str]:
    name, _, rest = series.partition("{")
    labels = {name: unescape(text) for name, text in _LABEL.findall(rest)}
    return {"__name__": name.strip(), **labels}


def open_source(options: Mapping[str, str]) -> Scraped:
    """The file at `options["file"]`."""
    return Scraped(Path(options["file"]))


def main(port: int, interval_seconds: float, path: Path, targets: Sequence[str]) -> None:
    """Scrape every so many seconds; GET on the port says 200 as soon as the first round is over.

    What cannot be written is a gap in the evidence, and no reason to end.
    """
    scraper = Scraper(path, [Target(address) for address in targets])
    scraper.scrape(time.time())
    server = ThreadingHTTPServer(("127.0.0.1", port), _Alive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trouble = ""
    while True:
        time.sleep(interval_seconds - time.time() % interval_seconds)
        try:
            scraper.scrape(time.time())
        except SourceError as error:
            if error.message != trouble:
                with suppress(OSError):  # the log may be on the same disk
                    os.write(sys.stderr.fileno(), f"{error.message}; tried again\n".encode())
            trouble = error.message
        else:
            trouble = ""


class _Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
