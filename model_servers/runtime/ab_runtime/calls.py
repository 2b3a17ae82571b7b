"""One request for predictions, from its headers to its count, whatever protocol it came by."""

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from time import perf_counter, time
from typing import Any

from mlserver.types import InferenceResponse
from mlserver.utils import generate_uuid

from ab_runtime.collecting import Collecting
from ab_runtime.counters import Counters
from ab_runtime.feedback import BLANKS
from ab_runtime.predictions import Line, Log, named, short, values
from ab_runtime.token import HEADER, PARAMETER
from ab_runtime.variant import NO_BUCKET, RANDOMIZED, Variant

current: ContextVar["Call | None"] = ContextVar("current", default=None)
"""The request that the server is about to answer, for those parts of it that see only content."""
_RANDOMIZED = RANDOMIZED.encode()
_LONGEST_NAME = 200


class Call:
    """A request that will be counted once, by `end`."""

    __slots__ = (
        "_began",
        "_bucket",
        "_compared",
        "_counting",
        "_ended",
        "_token",
        "_unit",
        "id",
        "inputs",
        "model",
        "outputs",
        "predictions",
        "version",
    )

    def __init__(
        self, counting: "Counting", units: Sequence[bytes], drawn: bytes | None, began: float
    ) -> None:
        self._counting = counting
        self._began = began
        self._bucket = counting.variant.bucket_of(units, drawn)
        self._compared = drawn != b"false"
        # Several, or none that can be read, are no unit; see `bucket_of`.
        self._unit = units[0] if self._bucket not in (None, NO_BUCKET) else None
        self._token: str | None = None
        self._ended = False
        self.id: str | None = None
        self.predictions: Sequence[object] = ()
        # For the log alone.
        self.model = ""
        self.version: str | None = None
        self.inputs: Sequence[Any] = ()
        self.outputs: Any = None

    @property
    def bucket(self) -> str:
        """The label; of a request that is its own unit it follows from the id, if it has one."""
        if self._bucket is None:
            if self.id is None:
                self.id = generate_uuid()
            self._bucket = self._counting.variant.bucket(self.id)
        return self._bucket

    @property
    def token(self) -> str | None:
        """What feedback on the answer sends back, where there is a collector: made once."""
        collecting = self._counting.collecting
        if self._token is None and collecting is not None:
            self._token = collecting.token(self.bucket, self.unit)
        return self._token

    @property
    def unit(self) -> str | None:
        """Who asked; None where nobody was assigned."""
        return None if self._unit is None else self._unit.strip(BLANKS.encode()).decode()

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says about it."""
        found = {"x-ab-variant": self._counting.variant.name, "x-ab-bucket": self.bucket}
        if (token := self.token) is not None:
            found[HEADER] = token
        return found

    @property
    def parameters(self) -> dict[str, str]:
        """What its content says: some proxies drop headers."""
        found = {"variant": self._counting.variant.name}
        if (token := self.token) is not None:
            found[PARAMETER] = token
        return found

    def answered(self, response: InferenceResponse) -> None:
        """See which classes an answer holds: the rows of `predict`, or of its only output.

        An output that is there twice counts once; probabilities and other fractions are no class.
        """
        found = response.outputs
        output = next((each for each in found if each.name == "predict"), None)
        if output is None and len(found) == 1:
            output = found[0]
        if output is not None or found:
            self.outputs = (output or found[0]).data.root
        if output is None:
            return
        data: Any = output.data.root
        if isinstance(data, list) and data and not isinstance(data[0], list):
            values = [_class(each) for each in data] if isinstance(data[0], bytes) else data
            self.predictions = values

    def end(self, code: str) -> None:
        """Count it, if it was not yet."""
        if self._ended:
            return
        self._ended = True
        counters = self._counting.counters
        counters.request(self.bucket, code)
        seconds = perf_counter() - self._began
        if self._compared and code != "4xx":
            counters.compared(seconds, self.predictions if code == "2xx" else (), self.bucket)
        if self._counting.log is not None:
            self._note(self._counting.log, code, seconds)

    def _note(self, log: Log, code: str, seconds: float) -> None:
        unit = self.unit
        if not log.wants(unit, self.id):
            return
        log.add(
            Line(
                at=time() - seconds,
                id=short(self.id),
                unit=log.unit(unit),
                bucket=self.bucket,
                variant=self._counting.variant.name,
                model=self.model[:_LONGEST_NAME],
                version=self.version,
                latency_seconds=seconds,
                code=code,
                prediction=None if self.outputs is None else values(self.outputs),
                token=self.token if code == "2xx" else None,
                inputs=named(self.inputs, log.inputs) if log.inputs else {},
            )
        )


class Counting:
    """Counts the requests of a variant.

    models: the names of those that are the variant's; others of the server are not counted.
    """

    def __init__(
        self, variant: Variant, others: Iterable[str] = (), collecting: Collecting | None = None
    ) -> None:
        self.log: Log | None = None
        self.variant = variant
        self.collecting = collecting
        self.counters = Counters(variant)
        self._others = frozenset(others)
        self._key = variant.key.encode()

    def counts(self, model: str) -> bool:
        """Whether requests for a model count: a name that nobody has is a client's mistake."""
        return model not in self._others

    def begin(
        self, model: str, headers: Iterable[tuple[bytes, bytes]], began: float
    ) -> Call | None:
        """A request for a model has come; None if it is not of the experiment's."""
        if not self.counts(model):
            return None
        units, drawn = [], None
        for name, value in headers:
            if name == self._key:
                units.append(value)
            elif name == _RANDOMIZED and drawn is None:
                drawn = value
        call = Call(self, units, drawn, began)
        call.model = model
        return call


def _class(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
