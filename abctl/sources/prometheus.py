"""Evidence from a Prometheus server: the one place that imports its client library.

An instant query with a range selector, `selector[...]`, gives the raw samples with the times of
their scrapes. A long range is asked for in chunks, so that no answer grows out of bounds.

Outlines are what `last_over_time(selector[cell])` and `resets(selector[...])` say, at times in
milliseconds and over ranges that are as long as the cells. All of that is PromQL of version 2.40,
and Thanos, Mimir and VictoriaMetrics have it too. It does not matter whether a range includes its
first moment (until version 3), nor how long a sample is looked back for, nor what a vector makes
of a series that has ended: none of the questions is for a single moment.

Staleness markers, which some servers give away as samples (pure).

Prometheus ends a series with a NaN of a special kind, and keeps it to itself. VictoriaMetrics
gives it away among the raw samples, where it looks like any other NaN.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from prometheus_api_client import PrometheusConnect
from requests.exceptions import RequestException

from abctl.core.selector import of_numbers, plain_labels
from abctl.errors import SourceError
from abctl.sources import Outline, Series, _refusal
from abctl.sources._answers import RefusedError, within
from abctl.sources.connection import Connection, ServerSettings
from abctl.sources.series import (
    Key,
    Milliseconds,
    joined,
    key_of,
    merged,
    outline_of_matrix,
    runs,
    series_of,
    whole_ms,
)

_SAMPLES_AN_ANSWER = 500_000
_FIRST_CHUNK_MS, _SHORTEST_CHUNK_MS, _LONGEST_CHUNK_MS = 1_800_000, 1_000, 86_400_000
_HERE = ("localhost", "127.0.0.1", "::1")
_SAME_LABELS = "same labelset"
_ONE_CELL = 2
_UNSETTLED_MS = 60_000
_READS_AN_ANSWER = 2  # each may take as long as the timeout: its first byte, and the others
_HALF_MS = 0.5
# What is of a histogram, and for how long a scrape may be missing until it is looked for elsewhere.
_OF_HISTOGRAM = re.compile(r"\s*([a-zA-Z_:][\w:]*)_(?:bucket|count|sum)(?=\s*(?:\{|$))")
_LE = re.compile(r',?\s*le\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"')
_RECENT_SECONDS = 300.0
_UNIT_SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def without_markers(series: Series) -> Series:
    """The series without single NaN: what follows the end of a series is another sample or nothing.

    A counter that has become NaN stays so: NaN that follow each other are left where they are, and
    are the error that they are.
    """
    gone = np.isnan(series.values)
    if not gone.any():
        return series
    beside = np.concatenate(([False], gone, [False]))
    kept = ~gone | beside[:-2] | beside[2:]
    return Series(series.labels, series.times[kept], series.values[kept])


class Prometheus:
    """A Prometheus server; see `Source` for what the methods promise."""

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None = None,
        *,
        way: ServerSettings | None = None,
        place: str = "",
    ) -> None:
        address, self._by = Connection.of_address(url, options or {})
        self.place = place or address
        self._session = self._by.session(address, way)
        if urlsplit(address).hostname in _HERE:
            # To pack an answer takes longer than to send it.
            self._session.headers["Accept-Encoding"] = "identity"
        self._client = PrometheusConnect(
            address, session=self._session, timeout=self._by.timeout_seconds
        )
        self._longest_seconds = _READS_AN_ANSWER * self._by.timeout_seconds
        self._chunk_ms = _FIRST_CHUNK_MS
        self._classic: set[str] = set()  # selectors that no native histogram hides

    @property
    def cached_as(self) -> str:
        """What answers depend on besides the question; no secrets, but digests of headers."""
        headers = sorted((name, str(value)) for name, value in self._session.headers.items())
        digest = hashlib.sha256(repr(headers).encode()).hexdigest()
        return f"{self.place} {self._client.url} {self._by.identity} {digest}"

    def now(self) -> float:
        """The server's clock."""
        found = self._ask("time()", {})
        with self._expected_form():
            # VictoriaMetrics knows no scalars.
            value = found[0]["value"] if isinstance(found[0], dict) else found
            return float(value[0])

    def retention_seconds(self) -> float | None:
        """What Prometheus itself says of its storage; those that only speak its language do not."""
        try:
            url = f"{self._client.url}/api/v1/status/runtimeinfo"
            ask = partial(self._session.get, url, timeout=self._by.timeout_seconds)
            answer = within(self._longest_seconds, ask)
            return _time_kept_seconds(answer.json()["data"]["storageRetention"])
        except (RequestException, ValueError, LookupError, TypeError, RecursionError):
            return None

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        """Raw samples in (start, end]."""
        pieces: dict[Key, list[Series]] = defaultdict(list)
        asked = of_numbers(selector)
        for after, found in self._chunks(asked, round(start * 1000), round(end * 1000)):
            with self._expected_form():
                for each in series_of(found):
                    # Until version 3 a range includes its first moment; the chunk before has it.
                    before = int(np.searchsorted(each.times, (after + _HALF_MS) / 1000))
                    if before < len(each.times):
                        piece = Series(each.labels, each.times[before:], each.values[before:])
                        pieces[key_of(each.labels)].append(piece)
        found = [without_markers(joined(each)) for each in pieces.values()]
        found = [series for series in found if len(series.times)]
        self._require_classic(selector, end, max((s.times[-1] for s in found), default=-np.inf))
        return found

    def _require_classic(self, selector: str, end: float, last: float) -> None:
        """Make sure that what a selector no longer finds is not in a native histogram.

        Raises:
            NotACounterError: it is.
        """
        base = _OF_HISTOGRAM.match(selector)
        if base is None or last > end - _RECENT_SECONDS or selector in self._classic:
            return
        bare = _LE.sub("", f"{base[1]}{selector[base.end() :]}").replace("{,", "{")
        query = f"{bare}[{round(1000 * _RECENT_SECONDS)}ms]"
        with self._expected_form():
            series_of(self._ask(query, {"time": f"{end:.3f}"}))  # which refuses what is native
        self._classic.add(selector)

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        """What series did, cell by cell."""
        try:
            return self._outline(of_numbers(selector), whole_ms(edges), round(since * 1000))
        except SourceError as error:
            if _refusal.TOO_MANY not in error.message or len(edges) == _ONE_CELL:
                raise
        half = len(edges) // 2
        return merged(
            self.outline(selector, edges[: half + 1], since),
            self.outline(selector, edges[half:], edges[half - 1]),
        )

    def _outline(self, selector: str, edges: Milliseconds, since: int) -> Outline:
        found: list[Series] = []
        for first, last in runs(edges):
            length = int(edges[first + 1] - edges[first])
            found += self._matrix(
                f"last_over_time({selector}[{length}ms])", edges[first + 1], edges[last], length
            )
        drops: dict[Key, float] | None = {}
        ends = [float(each.times[-1]) for each in found if len(each.times)]
        self._require_classic(selector, edges[-1] / 1000, max(ends, default=-np.inf))
        if found:
            query = f"resets({selector}[{edges[-1] - since}ms]) > 0"
            try:
                answer = self._ask(query, {"time": f"{edges[-1] / 1000:.3f}"})
            except SourceError as error:
                if _SAME_LABELS not in error.message:
                    raise
                # Series that differ only in name: their drops are not counted.
                drops = None
            else:
                found_drops: dict[Key, float] = defaultdict(float)
                with self._expected_form():
                    for each in answer:
                        found_drops[key_of(plain_labels(each["metric"]))] += float(each["value"][1])
                drops = found_drops
        return outline_of_matrix(found, drops, edges)

    def _matrix(self, query: str, start: int, end: int, step: int) -> list[Series]:
        """The values of an expression at start, start + step, ..., end (milliseconds)."""
        # VictoriaMetrics makes up the last of closely spaced values where they are of the last half
        # minute, unless there are later ones.
        later = end + (2 * step + _UNSETTLED_MS if step < _UNSETTLED_MS else 0)
        params = {"start": f"{start / 1000:.3f}", "end": f"{later / 1000:.3f}"}
        epoch = datetime.fromtimestamp(0, UTC)  # the client rounds; `params` have the last word
        # As a duration: Prometheus cuts off "4.294" to 4,293 ms.
        ask = partial(self._client.custom_query_range, query, epoch, epoch, f"{step}ms")
        found = self._answer(query, lambda: ask(params))
        with self._expected_form():
            series = series_of(found)
        return [_upto(end, each) for each in series] if later > end else series

    def _chunks(self, selector: str, start: int, end: int) -> Iterator[tuple[int, list[Any]]]:
        chunk = self._chunk_ms
        while start < end:
            stop = min(start + chunk, end)
            query = f"{selector}[{stop - start}ms]"
            try:
                found = self._ask(query, {"time": f"{stop / 1000:.3f}"})
            except SourceError as error:
                if _refusal.TOO_MANY not in error.message or chunk <= _SHORTEST_CHUNK_MS:
                    raise
                chunk //= 4
                continue
            yield start, found
            count = sum(len(entry.get("values", ())) for entry in found)
            growth = min(4.0, max(0.25, _SAMPLES_AN_ANSWER / max(1, count)))
            if stop - start == chunk:
                chunk = min(max(int(chunk * growth), _SHORTEST_CHUNK_MS), _LONGEST_CHUNK_MS)
            start = stop
        self._chunk_ms = chunk

    def _ask(self, query: str, params: dict[str, str]) -> list[Any]:
        return self._answer(query, lambda: self._client.custom_query(query, params))

    def _answer(self, query: str, ask: Callable[[], Any]) -> list[Any]:
        try:
            found = within(self._longest_seconds, ask)
        except RefusedError as error:
            raise _refusal.of_status(error.response, query, self.place, self._by) from None
        except (RequestException, ValueError, LookupError, TypeError, RecursionError) as error:
            raise self._no_prometheus(error) from None
        if not isinstance(found, list):
            raise self._no_prometheus(TypeError())
        return found

    @contextmanager
    def _expected_form(self) -> Iterator[None]:
        try:
            yield
        except (LookupError, ValueError, TypeError) as error:
            raise self._no_prometheus(error) from None

    def _no_prometheus(self, error: Exception) -> SourceError:
        return _refusal.of_connection(error, self.place, self._by)


def open_source(options: Mapping[str, Any]) -> Prometheus:
    """Prometheus at `options["url"]`; the others are those of a `Connection`.

    `way` leads there through the connections of another client, and `place` says so.
    """
    way, place = options.get("way"), options.get("place", "")
    return Prometheus(options["url"], options, way=way, place=place)


def _upto(end: int, series: Series) -> Series:
    """The samples up to a time in milliseconds; maybe none."""
    inside = whole_ms(series.times) <= end
    return Series(series.labels, series.times[inside], series.values[inside])


def _time_kept_seconds(text: str) -> float | None:
    """`2w1d or 10GiB` in seconds; what a limit of size keeps is unknown."""
    time = next((part for part in text.split(" or ") if not part.endswith("B")), None)
    if time is None:
        return None
    return sum(int(n) * _UNIT_SECONDS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdwy])", time))
