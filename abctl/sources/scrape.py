"""Evidence without a Prometheus: abctl reads the metrics pages itself, into a file.

`python -m abctl.sources.scrape PORT FILE HOST:PORT...` reads them every second until it is ended,
and answers on a port of its own, so that others see that it runs.

The file holds one JSON document a line, one for each page that was read: when, of which target,
and the lines of the page that are asked for. It only grows; a last line that was cut short is
no harm.
"""

import json
import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from abctl.errors import SourceError
from abctl.sources import Series
from abctl.sources._promql import Selector, unescape

_TIMEOUT_SECONDS = 2.0
_INTERVAL_SECONDS = 1.0
KEPT = ("ab_", "process_start_time_seconds")
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?$")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


class Scraper:
    """Reads metrics pages and appends them to a file.

    Args:
        path: the file; it is made if it is not there.
        targets: `host:port` of each, whose page is `/metrics`.
        kept: beginnings of the names of the metrics that are kept.
    """

    def __init__(self, path: Path, targets: Sequence[str], kept: tuple[str, ...] = KEPT) -> None:
        self._path = path
        self._targets = targets
        self._kept = kept

    def scrape(self, at: float) -> list[str]:
        """Read every target once; gives those that did not answer.

        Args:
            at: unix seconds that the samples are stamped with; ascending from call to call.
        """
        silent, lines = [], []
        for target in self._targets:
            try:
                page = _read(target)
            except (OSError, HTTPException):
                silent.append(target)
                continue
            kept = [line for line in page.splitlines() if line.startswith(self._kept)]
            document = {"at": at, "job": "scrape", "instance": target, "samples": kept}
            lines.append(json.dumps(document) + "\n")
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
        return silent


def _read(target: str) -> str:
    connection = HTTPConnection(target, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status != 200:  # noqa: PLR2004  # HTTP's own number
            raise HTTPException(f"status {answer.status}")
        return answer.read().decode()
    finally:
        connection.close()


class Scraped:
    """A file that a `Scraper` writes; see `Source` for what the methods promise."""

    def __init__(self, path: Path) -> None:
        self.place = f"{path}, scraped by abctl itself"
        self._path = path
        self._read_bytes = 0
        self._samples: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)

    def now(self) -> float:
        """The clock of this machine, which the scraper stamps samples with."""
        return time.time()

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        """Raw samples in (start, end]."""
        wanted = Selector.parse(selector)
        self._read_on()
        found = []
        for (series, job, instance), samples in self._samples.items():
            labels = _labels(series)
            if wanted.matches(labels):
                array = np.array(samples)
                array = array[(array[:, 0] > start) & (array[:, 0] <= end)]
                if len(array):
                    labels |= {"job": job, "instance": instance}
                    found.append(Series(labels, array[:, 0], array[:, 1]))
        return found

    def _read_on(self) -> None:
        """Take in what was appended since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                text = file.read()
        except FileNotFoundError:
            raise SourceError(
                f"{self._path}: nothing was scraped yet", "is the stack up? abctl local status"
            ) from None
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from None
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines():
            try:
                page = json.loads(line)
                for sample in page["samples"]:
                    series, _, value = sample.rpartition(" ")
                    key = (series, page["job"], page["instance"])
                    self._samples[key].append((page["at"], float(value)))
            except (ValueError, KeyError, TypeError):
                raise SourceError(f"{self._path}: {line[:60]!r} is no page of samples") from None
        self._read_bytes += len(whole)


def _labels(series: str) -> dict[str, str]:
    parts = _SAMPLE.match(series)
    if parts is None:
        raise SourceError(f"{series!r} is not the name of a series")
    labels = {name: unescape(text) for name, text in _LABEL.findall(parts[2] or "")}
    return {"__name__": parts[1], **labels}


def open_source(options: Mapping[str, str]) -> Scraped:
    """The file at `options["file"]`."""
    return Scraped(Path(options["file"]))


def main(port: int, path: Path, targets: Sequence[str]) -> None:
    """Scrape every second; GET on the port says 200 as soon as the first round is over."""
    scraper = Scraper(path, targets)
    scraper.scrape(time.time())
    server = ThreadingHTTPServer(("127.0.0.1", port), _Alive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        time.sleep(_INTERVAL_SECONDS - time.time() % _INTERVAL_SECONDS)
        scraper.scrape(time.time())


class _Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
