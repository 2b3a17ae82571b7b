"""What the server counts, in a form that statistics can use.

Every combination of labels exists, at zero, from the start: a series that is born late loses its
first increments. No user is ever a label: units are counted by bucket.
"""

from collections.abc import Iterable
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client import disable_created_metrics

from ab_runtime.variant import NO_BUCKET, Variant

CODES = ("2xx", "4xx", "5xx")
_EDGES = 47
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.00025, 10.0
EDGES_SECONDS = tuple(
    float(f"{_SHORTEST_SECONDS * (_LONGEST_SECONDS / _SHORTEST_SECONDS) ** (i / (_EDGES - 1)):.3g}")
    for i in range(_EDGES)
)


class Counters:
    """The counters of one variant; the children are looked up once, not at every request."""

    def __init__(self, variant: Variant, registry: CollectorRegistry) -> None:
        # The `_created` twins would double the page; process_start_time_seconds says the same.
        disable_created_metrics()
        name, buckets = variant.name, variant.bucket_labels
        requests = Counter(
            "ab_requests_total",
            "Requests that reached the model, by bucket of the unit and class of the answer",
            ("variant", "bucket", "code"),
            registry=registry,
        )
        self._requests = {(b, c): requests.labels(name, b, c) for b in buckets for c in CODES}
        self._duration = Histogram(
            "ab_request_duration_seconds",
            "Time inside the model server for one randomized request",
            ("variant",),
            buckets=EDGES_SECONDS,
            registry=registry,
        ).labels(name)
        self._duration_sumsq = Counter(
            "ab_request_duration_seconds_sumsq_total",
            "Sum of the squares of ab_request_duration_seconds",
            ("variant",),
            registry=registry,
        ).labels(name)
        keys = [(b, o) for b in buckets for o in variant.outcomes]
        labels = ("variant", "bucket", "outcome")
        count = Counter("ab_outcome_count_total", "Feedback values", labels, registry=registry)
        self._count = {key: count.labels(name, *key) for key in keys}
        total = Counter(
            "ab_outcome_sum_total",
            "Sum of the sizes of feedback values, by their sign",
            (*labels, "sign"),
            registry=registry,
        )
        self._positive = {key: total.labels(name, *key, "positive") for key in keys}
        self._negative = {key: total.labels(name, *key, "negative") for key in keys}
        sumsq = Counter(
            "ab_outcome_sumsq_total",
            "Sum of the squares of feedback values",
            labels,
            registry=registry,
        )
        self._sumsq = {key: sumsq.labels(name, *key) for key in keys}
        self._duplicates = Counter(
            "ab_feedback_duplicates_total",
            "Feedback that was not counted because its id had been",
            ("variant",),
            registry=registry,
        ).labels(name)
        self._variant = name
        self._all_predictions = Counter(
            "ab_predictions_total",
            "Predictions of each class, one for each row of a request",
            ("variant", "class"),
            registry=registry,
        )
        self._predictions: dict[object, Counter] = {}

    def expect(self, classes: Iterable[object]) -> None:
        """Create at zero the predictions of a model's classes."""
        for each in classes:
            self._predictions[each] = self._all_predictions.labels(self._variant, str(each))

    def request(self, bucket: str, code: str, seconds: float) -> None:
        """Count one answer."""
        self._requests[bucket, code].inc()
        self._duration.observe(seconds)
        self._duration_sumsq.inc(seconds * seconds)

    def predicted(self, classes: Iterable[object]) -> None:
        """Count predictions; those of a class that nobody expected are left out."""
        for each in classes:
            counter = self._predictions.get(each)
            if counter is not None:
                counter.inc()

    def outcome(self, bucket: str, outcome: str, value: float) -> None:
        """Count one feedback value."""
        key = bucket, outcome
        self._count[key].inc()
        (self._negative if value < 0 else self._positive)[key].inc(abs(value))
        self._sumsq[key].inc(value * value)

    def duplicate(self) -> None:
        """Count feedback that is not counted again."""
        self._duplicates.inc()


@cache
def counters_of(variant: Variant, registry: CollectorRegistry = REGISTRY) -> Counters:
    """The counters of a variant: made once in a process, whatever is loaded again."""
    return Counters(variant, registry)
