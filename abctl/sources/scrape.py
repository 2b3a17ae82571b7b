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
import logging
import math
import os
import sys
import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from abctl.core.number import parse_number
from abctl.core.selector import Selector, plain_labels
from abctl.errors import SourceAwayError, SourceError, UsageError
from abctl.files import opened, writing
from abctl.foreign import said
from abctl.sources import Outline, Series
from abctl.sources._metrics_page import LARGEST_BYTES, page
from abctl.sources._page_lines import Kept, Sample, kept_of, labels_of, sample_of
from abctl.sources.series import Key, joined, key_of, outline_of

_log = logging.getLogger(__name__)
_SCRAPES = "name a file that abctl scrape has written"
_FIRST = b'{"at": '  # of each line
START_TIME = "process_start_time_seconds"
# Of abctl's servers, and of the proxy in front: what clients got.
KEPT = ("ab_", START_TIME, "envoy_cluster_upstream_rq", "envoy_cluster_grpc_", "envoy_access_logs_")
_PATH = "/metrics"


@dataclass(frozen=True)
class Target:
    """A metrics page: `host:port` or a URL, and labels for all that it says."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the page is: at `/metrics`, unless the address has a path."""
        parts = urlsplit(self.address if "://" in self.address else f"//{self.address}")
        return urlunsplit(parts._replace(scheme=parts.scheme or "http", path=parts.path or _PATH))

    @property
    def instance(self) -> str:
        """What Prometheus would call it."""
        return urlsplit(self.url).netloc


def parse_target(text: str) -> Target:
    """`host:port`, `http://host:port/path`, and either of them as `variant=...`.

    Raises:
        UsageError: anything else.
    """
    head, sign, rest = text.partition("=")
    variant, address = (head, rest) if sign and not set(head) & set(":/?[") else ("", text)
    bare = "://" not in address
    parts = urlsplit(f"//{address}" if bare else address)
    try:
        known = parts.hostname and (parts.port or not bare)
        known = known and (parts.netloc == address if bare else parts.scheme in ("http", "https"))
    except ValueError:
        known = False
    unnamed = sign and not (variant or parts.query)
    if not known or "@" in parts.netloc or parts.fragment or unnamed:
        hint = "write HOST:PORT, VARIANT=HOST:PORT, or https://HOST:PORT/PATH"
        raise UsageError(f"{text!r} is not a target", hint)
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
        # And what is the matter with pages that are some.
        self.remarks: list[str] = []
        self._pool = ThreadPoolExecutor(min(16, max(1, len(targets))))

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
        silent, lines = [], []
        self.strangers, self.remarks = {}, []
        pages = self._pool.map(page, [target.url for target in self._targets])
        for target, (text, instead, passing) in zip(self._targets, pages, strict=True):
            if text is None:
                silent.append(f"{target.address} ({instead})" if instead else target.address)
                self.strangers |= {target.address: instead} if instead and not passing else {}
                continue
            kept = kept_of(text, self._kept)
            self.remarks += _remarks(target.address, kept, self._kept)
            document = {"at": at, "job": "scrape", "instance": target.instance}
            document |= {"labels": target.labels} if target.labels else {}
            lines.append(json.dumps(document | {"samples": kept.samples}) + "\n")
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


def _remarks(address: str, kept: Kept, beginnings: Sequence[str]) -> Iterator[str]:
    """What is the matter with a page."""
    if kept.wrong:
        told = f"{address}: {len(kept.wrong)} lines left out that cannot be read, or come twice"
        yield f"{told}, such as {said(kept.wrong[0])[:60]}"
    if all(line.startswith(START_TIME) for line in kept.samples):
        wanted = " or ".join(each for each in beginnings if each != START_TIME)
        yield f"{address}: none of its {kept.others} other series begins with {wanted} (--keep)"


def _require_own(path: Path) -> None:
    """Make sure that a file is new, or one of scrapes: its last line may be removed."""
    if not path.exists():
        return
    with writing(path), opened(path) as file:
        first = file.read(len(_FIRST))
    if first and first != _FIRST:
        raise SourceError(f"{path}: is not a file of scrapes", "name another file")


@dataclass
class _Held:
    """The samples of a series."""

    labels: Mapping[str, str]
    at: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))


class Scraped:
    """A file that a `Scraper` writes; see `Source` for what the methods promise."""

    def __init__(self, path: Path) -> None:
        self.place = f"{path}, scraped by abctl itself"
        self._path = path
        self._read_bytes = 0
        self._good = self._damaged = 0
        self._held: dict[tuple[str, str], _Held] = {}
        self._known: set[str] = set()  # texts that name a series

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
        pieces: dict[Key, list[Series]] = defaultdict(list)
        for held in [each for each in self._held.values() if wanted.matches(each.labels)]:
            at, values = np.array(held.at), np.array(held.values)
            within = (at > start) & (at <= end)
            if within.any():
                found = Series(held.labels, at[within], values[within])
                pieces[key_of(held.labels)].append(found)
        # In order of time, each once: the clock of this machine may have been set.
        return [joined(each) for each in pieces.values()]

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
        if self._damaged and not self._good:
            raise SourceError(f"{self._path}: no line of it is a page of samples", _SCRAPES)

    def _take(self, line: bytes) -> None:
        """A page; one that is damaged is a gap, and takes no other with it."""
        try:
            found = json.loads(line)
            labels = {"job": str(found["job"]), "instance": str(found["instance"])}
            target = json.dumps(found.get("labels", {}) | labels)
            at = float(found["at"])
            samples = [each for text in found["samples"] if (each := self._read(text))]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            self._damaged += 1
            _log.warning("%s: a line is damaged, and left out: %r", self._path, line[:60])
            return
        self._good += 1
        if wrong := len(found["samples"]) - len(samples):
            _log.warning("%s: %d samples cannot be read, and are left out", self._path, wrong)
        for series, value in samples:
            if (held := self._held.get((series, target))) is None:
                named = plain_labels(labels_of(series) | json.loads(target))
                held = self._held[series, target] = _Held(named)
            held.at.append(at)
            held.values.append(value)

    def _read(self, line: str) -> Sample | None:
        """A line of a page, as an abctl of before kept it; None where it cannot be read."""
        try:
            # Nearly every line names a series that was read before.
            series, _, number = line.rpartition(" ")
            if series in self._known:
                return Sample(series, parse_number(number))
            sample = sample_of(line)
            labels_of(sample.series)
        except ValueError:
            return None
        self._known.add(sample.series)
        return sample


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
