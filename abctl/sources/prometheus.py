"""Evidence from a Prometheus server: the one door of its client library.

An instant query with a range selector, `selector[...]`, gives the raw samples with the times of
their scrapes. A long range is asked for in chunks, so that no answer grows out of bounds.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.exceptions import RequestException

from abctl.errors import SourceError
from abctl.sources import Series, _refusal
from abctl.sources._connection import Connection, Way

_SAMPLES_AN_ANSWER = 500_000
_FIRST_CHUNK_MS, _SHORTEST_CHUNK_MS, _LONGEST_CHUNK_MS = 1_800_000, 1_000, 86_400_000


class Prometheus:
    """A Prometheus server; see `Source` for what the methods promise."""

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None = None,
        *,
        way: Way | None = None,
        place: str = "",
    ) -> None:
        address, self._by = Connection.of_address(url, options or {})
        self.place = place or address
        self._client = PrometheusConnect(
            address, session=self._by.session(address, way), timeout=self._by.timeout_seconds
        )
        self._chunk_ms = _FIRST_CHUNK_MS

    def now(self) -> float:
        """The server's clock."""
        found = self._ask("time()", {})
        with self._expected_form():
            return float(found[0])

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        """Raw samples in (start, end]."""
        labels: dict[str, Mapping[str, str]] = {}
        samples: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for after, found in self._chunks(selector, round(start * 1000), round(end * 1000)):
            for entry in found:
                if "histograms" in entry and "values" not in entry:
                    raise SourceError(
                        f"{selector} at {self.place} is a native histogram",
                        "expose classic buckets as well: always_scrape_classic_histograms: true",
                    )
                with self._expected_form():
                    key = json.dumps(entry["metric"], sort_keys=True)
                    labels[key] = entry["metric"]
                    # Until version 3 a range includes its first moment; the chunk before has it.
                    samples[key] += [s for s in entry["values"] if round(s[0] * 1000) > after]
        with self._expected_form():
            arrays = {k: np.array(v, np.float64).reshape(-1, 2) for k, v in samples.items() if v}
        return [Series(labels[k], a[:, 0].copy(), a[:, 1].copy()) for k, a in arrays.items()]

    def _chunks(self, selector: str, start: int, end: int) -> Iterator[tuple[int, list[Any]]]:
        while start < end:
            stop = min(start + self._chunk_ms, end)
            query = f"{selector}[{stop - start}ms]"
            try:
                found = self._ask(query, {"time": f"{stop / 1000:.3f}"})
            except SourceError as error:
                if _refusal.TOO_MANY not in error.message or self._chunk_ms <= _SHORTEST_CHUNK_MS:
                    raise
                self._chunk_ms //= 4
                continue
            yield start, found
            count = sum(len(entry.get("values", ())) for entry in found)
            growth = min(4.0, max(0.25, _SAMPLES_AN_ANSWER / max(1, count)))
            if stop - start == self._chunk_ms:
                wanted = int(self._chunk_ms * growth)
                self._chunk_ms = min(max(wanted, _SHORTEST_CHUNK_MS), _LONGEST_CHUNK_MS)
            start = stop

    def _ask(self, query: str, params: dict[str, str]) -> list[Any]:
        try:
            found = self._client.custom_query(query, params)
        except PrometheusApiClientException as error:
            raise _refusal.of_status(str(error), query, self.place, self._by) from None
        except (RequestException, ValueError, LookupError, TypeError) as error:
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

    `way` leads there through somebody else's connections, and `place` says so.
    """
    way, place = options.get("way"), options.get("place", "")
    return Prometheus(options["url"], options, way=way, place=place)
