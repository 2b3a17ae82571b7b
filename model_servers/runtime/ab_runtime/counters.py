"""What the server counts, in a form that statistics can use.

Every combination of labels exists, at zero, from the start: a series that is born late loses its
first increments. No user is ever a label: units are counted by bucket.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from threading import Lock

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    disable_created_metrics,
)

from ab_runtime.feedback import Seen
from ab_runtime.variant import Variant

CODES = ("2xx", "4xx", "5xx")
_RENARD = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
EDGES_SECONDS = (*(float(f"{r}e{power}") for power in range(-5, 1) for r in _RENARD), 10.0)
"""Upper edges of the latency histogram, 10 us to 10 s: each about 26% above the last.

A linear model answers within 50 us; a lowest edge above that would hold all there is to compare.
"""


class _AtOnce:
    """Gives a whole registry as it stood at one moment.

    Pages are written in a thread of their own, one metric after the other. Without the lock a
    numerator could hold an event that its denominator, written before, does not.
    """

    def __init__(self, registry: CollectorRegistry, lock: Lock) -> None:
        self._registry = registry
        self._lock = lock

    def collect(self) -> list[Metric]:
        with self._lock:
            return list(self._registry.collect())


class Counters:
    """The counters of one variant; children are looked up once, not at every request.

    The latency is the time between a decoded request and its prediction: checks, the model, and
    these counters' own arithmetic. It leaves out what comes before and after in the server (the
    queue of its event loop, reading and decoding HTTP and JSON or protobuf, writing the answer)
    and everything outside of it (proxies, network). It belongs to requests that the router did not
    keep out of the experiment (`x-ab-randomized: false`) and in which the client was not wrong
    (4xx), whatever their bucket; so do the predictions.
    """

    def __init__(self, variant: Variant, registry: CollectorRegistry) -> None:
        # The `_created` twins would double the page; process_start_time_seconds says the same.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._lock = Lock()
        self._variant = variant.name
        self._seen = Seen()
        by_bucket = [(bucket,) for bucket in variant.bucket_labels]
        by_outcome = [(*bucket, outcome) for bucket in by_bucket for outcome in variant.outcomes]
        self._requests = self._counters(
            "ab_requests_total",
            "Requests that reached the model, by bucket of the unit and class of the answer",
            ("bucket", "code"),
            [(*bucket, code) for bucket in by_bucket for code in CODES],
        )
        self._duration = Histogram(
            "ab_request_duration_seconds",
            "Time between a decoded request and its prediction",
            ("variant",),
            buckets=EDGES_SECONDS,
            registry=self._registry,
        ).labels(variant.name)
        self._duration_sumsq = self._counter(
            "ab_request_duration_seconds_sumsq_total",
            "Sum of the squares of ab_request_duration_seconds",
        )
        labels = ("bucket", "outcome")
        self._count = self._counters(
            "ab_outcome_count_total", "Feedback values", labels, by_outcome
        )
        self._sum = self._counters(
            "ab_outcome_sum_total",
            "Sum of the sizes of feedback values, by their sign",
            (*labels, "sign"),
            [(*key, sign) for key in by_outcome for sign in ("positive", "negative")],
        )
        self._sumsq = self._counters(
            "ab_outcome_sumsq_total", "Sum of the squares of feedback values", labels, by_outcome
        )
        self._duplicates = self._counter(
            "ab_feedback_duplicates_total", "Feedback whose id had been counted already"
        )
        self._all_predictions = Counter(
            "ab_predictions_total",
            "Predictions of each class, one for each row of a request",
            ("variant", "class"),
            registry=self._registry,
        )
        self._predictions: dict[object, Counter] = {}
        registry.register(_AtOnce(self._registry, self._lock))

    def expect(self, classes: Iterable[object]) -> None:
        """Create at zero the predictions of a model's classes."""
        for each in classes:
            self._predictions[each] = self._all_predictions.labels(self._variant, str(each))

    def request(self, bucket: str, code: str) -> None:
        """Count one answer."""
        with self._lock:
            self._requests[bucket, code].inc()

    def compared(self, seconds: float, predictions: Iterable[object]) -> None:
        """Count what is compared between variants: the latency, and which classes came out."""
        with self._lock:
            self._duration.observe(seconds)
            self._duration_sumsq.inc(seconds * seconds)
            for each in predictions if self._predictions else ():
                counter = self._predictions.get(each)
                if counter is not None:  # models of several labels predict what is none of them
                    counter.inc()

    def outcome(self, bucket: str, outcome: str, value: float, feedback_id: str | None) -> bool:
        """Count one feedback value; False if its id was counted already."""
        with self._lock:
            if feedback_id is not None and not self._seen.add(outcome, feedback_id):
                self._duplicates.inc()
                return False
            self._count[bucket, outcome].inc()
            self._sum[bucket, outcome, "negative" if value < 0 else "positive"].inc(abs(value))
            self._sumsq[bucket, outcome].inc(value * value)
        return True

    def _counters(
        self, name: str, meaning: str, labels: tuple[str, ...], keys: Sequence[tuple[str, ...]]
    ) -> dict[tuple[str, ...], Counter]:
        counter = Counter(name, meaning, ("variant", *labels), registry=self._registry)
        return {key: counter.labels(self._variant, *key) for key in keys}

    def _counter(self, name: str, meaning: str) -> Counter:
        return self._counters(name, meaning, (), [()])[()]


@cache
def counters_of(variant: Variant, registry: CollectorRegistry = REGISTRY) -> Counters:
    """The counters of a variant: made once in a process, however often models are loaded."""
    return Counters(variant, registry)
