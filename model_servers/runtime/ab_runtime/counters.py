"""What the server counts, in a form that statistics can use.

Every combination of labels exists, at zero, from the start: a series that is born late loses its
first increments. No user and no name that a client chose is ever a label: units are counted by
bucket.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from threading import Lock

from ab_runtime.answers import CODES, Answers, Counted
from ab_runtime.feedback import Seen
from ab_runtime.variant import NO_BUCKET, Variant

_MOST_CLASSES = 64
_COUNTED = Counted(
    "ab_", CODES, "server", "Time from the first byte of a request to the last one of its answer"
)


class Counters:
    """The counters of one variant.

    The latency is that of the whole answer, from the first byte of the request that the server
    read to the last one of the answer that it wrote: what it waited for in queues and batches, and
    reading, decoding and writing, are in it. It belongs to requests that the router did not keep
    out of the experiment (`x-ab-randomized: false`) and in which the client was not wrong (4xx),
    whatever their bucket; so do the predictions. Those that have a bucket are counted by it again:
    how much units differ is seen between buckets.
    """

    def __init__(self, variant: Variant) -> None:
        self._variant = variant.name
        self._seen = Seen()
        self._lock = Lock()
        self._answers = Answers((variant.name,), variant.buckets, _COUNTED)
        self._own = self._answers.of(variant.name)
        self._table = self._answers.table
        self._outcomes(variant)
        self._duplicates = self._single(
            "ab_feedback_duplicates_total", "Feedback whose id had been counted already"
        )
        self._predictions = self._table(
            "ab_predictions_total",
            "counter",
            "Predictions of each class, one for each row of an answer's `predict`",
            ("variant", "class"),
        )
        self._class_at: dict[object, int] = {}

    def _outcomes(self, variant: Variant) -> None:
        labels = ("variant", "bucket", "outcome")
        count = self._table("ab_outcome_count_total", "counter", "Feedback values", labels)
        total = self._table(
            "ab_outcome_sum_total",
            "counter",
            "Sum of the sizes of feedback values, by their sign",
            (*labels, "sign"),
        )
        squares = self._table(
            "ab_outcome_sumsq_total", "counter", "Sum of the squares of feedback values", labels
        )
        self._count, self._sum, self._squares = count.values, total.values, squares.values
        self._outcome_at = {}
        for bucket in variant.bucket_labels:
            for outcome in variant.outcomes:
                key = variant.name, bucket, outcome
                self._outcome_at[bucket, outcome] = count.add(*key)
                squares.add(*key)
                for sign in ("positive", "negative"):
                    total.add(*key, sign)

    def expect(self, classes: Iterable[object]) -> None:
        """Create at zero the predictions of a model's classes."""
        for each in classes:
            if each not in self._class_at:
                self._class_at[each] = self._predictions.add(self._variant, str(each))

    def request(self, bucket: str, code: str) -> None:
        """Count one answer."""
        with self._lock:
            self._own.request(bucket, code)

    def compared(
        self, seconds: float, predictions: Sequence[object], bucket: str = NO_BUCKET
    ) -> None:
        """Count what is compared between variants: the latency, and which classes came out.

        Whole numbers that were not expected are classes too, while there are few.
        """
        with self._lock:
            self._own.took(seconds, bucket)
            if len(predictions) == 1:
                self._predicted(predictions[0], 1.0)
            else:
                for each, times in Counter(predictions).items():
                    self._predicted(each, float(times))

    def _predicted(self, each: object, times: float) -> None:
        at = self._class_at.get(each)
        if at is None:
            if not isinstance(each, int) or len(self._class_at) >= _MOST_CLASSES:
                return
            self.expect([each])
            at = self._class_at[each]
        self._predictions.values[at] += times

    def outcome(self, bucket: str, outcome: str, value: float, feedback_id: str | None) -> bool:
        """Count one feedback value; False if its id was counted already."""
        with self._lock:
            if feedback_id is not None and not self._seen.add(outcome, feedback_id):
                self._duplicates[0] += 1.0
                return False
            at = self._outcome_at[bucket, outcome]
            self._count[at] += 1.0
            self._sum[2 * at + (value < 0)] += abs(value)
            self._squares[at] += value * value
        return True

    def log_lines(self) -> list[float]:
        """How many lines of the log of predictions were written, and how many dropped."""
        table = self._table(
            "ab_log_lines_total", "counter", "Lines of the log of predictions", ("variant", "what")
        )
        for what in ("written", "dropped"):
            table.add(self._variant, what)
        return table.values

    def page(self, open_metrics: bool = False) -> str:
        """All of it as it stood at one moment, as text for Prometheus or OpenMetrics (no `# EOF`).

        A numerator never holds an event that its denominator does not.
        """
        with self._lock:
            return self._answers.text(open_metrics)

    def _single(self, name: str, meaning: str) -> list[float]:
        table = self._table(name, "counter", meaning, ("variant",))
        table.add(self._variant)
        return table.values
