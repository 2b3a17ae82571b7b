"""Evidence from a Prometheus server: the one door of its client library.

An instant query with a range selector, `selector[...]`, gives the raw samples with the times of
their scrapes. A long range is asked for in chunks, so that no answer grows out of bounds.
"""

import json
import re
from ast import literal_eval
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException, Timeout
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.retry import Retry

from abctl.errors import SourceError
from abctl.sources import Series

_TIMEOUT_SECONDS = 30
_SAMPLES_AN_ANSWER = 500_000
_FIRST_CHUNK_MS, _SHORTEST_CHUNK_MS, _LONGEST_CHUNK_MS = 1_800_000, 1_000, 86_400_000
_TOO_MANY = "too many samples"


class _Retry(Retry):
    """Tries again what failed at once, but does not wait twice for what never came."""

    def increment(self, *args: Any, **options: Any) -> Self:
        if isinstance(error := options.get("error"), ReadTimeoutError):
            raise error
        return super().increment(*args, **options)


class Prometheus:
    """A Prometheus server; see `Source` for what the methods promise."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(f"{url!r} is not the address of a Prometheus", "http://host:9090")
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
        retry = _Retry(
            total=2,
            connect=1,
            backoff_factor=0.2,
            status_forcelist=(429, 502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        self._client = PrometheusConnect(url.rstrip("/"), retry=retry, timeout=_TIMEOUT_SECONDS)
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
                if _TOO_MANY not in error.message or self._chunk_ms <= _SHORTEST_CHUNK_MS:
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
        except Timeout:
            message = f"{self.place} did not answer within {_TIMEOUT_SECONDS} seconds"
            raise SourceError(message, "is it overloaded?") from None
        except NoConnection:
            raise SourceError(
                f"nothing answers at {self.place}",
                "is Prometheus up? `abctl local status`, or give its address: --prometheus URL",
            ) from None
        except PrometheusApiClientException as error:
            raise self._refused(query, str(error)) from None
        except (RequestException, ValueError, KeyError, TypeError) as error:
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
        return SourceError(
            f"{self.place} does not answer like a Prometheus ({type(error).__name__})",
            "give the address of the server itself: --prometheus URL",
        )

    def _refused(self, query: str, text: str) -> SourceError:
        """The error for an answer other than 200; `text` is all that the client tells of it."""
        parts = re.match(r"HTTP Status Code (\d+) \((b['\"].*['\"])\)$", text, re.DOTALL)
        status, reason = (int(parts[1]), _reason(parts[2])) if parts else (0, text)
        if status in (400, 422):
            hint = "" if _TOO_MANY in reason else 'a selector is a name{label="value"}'
            return SourceError(f"{self.place} refused {query}: {reason}", hint)
        if status in (401, 403):
            return SourceError(f"{self.place} does not let us in (HTTP {status})")
        return SourceError(f"{self.place} answered HTTP {status}: {reason}")


def _reason(body: str) -> str:
    """What Prometheus says in the body of an error, or the beginning of any other body."""
    raw: bytes = literal_eval(body)
    try:
        return str(json.loads(raw)["error"])
    except (ValueError, KeyError, TypeError):
        return raw.decode(errors="replace").strip()[:200]


def open_source(options: Mapping[str, str]) -> Prometheus:
    """Prometheus at `options["url"]`."""
    return Prometheus(options["url"])
