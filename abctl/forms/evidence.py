"""Saved evidence: everything that a judgement takes; arrays lie apart and are named by number.

All series of a target share the times of its scrapes, so each array is written once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from abctl.core.answers import View
from abctl.core.experiment import Kind
from abctl.core.ledger import Phase
from abctl.forms import DamagedError, Form, number
from abctl.forms.experiment import Experiment, Split

# To be raised whenever an abctl of before must not read what is written.
FORMAT = 1

Array = np.ndarray[Any, np.dtype[np.float64]]
Target = tuple[tuple[str, str], ...]
"""The labels of a target, sorted."""

_OfKind = tuple[Kind, Mapping[str, str]]
_WHOLE = 2.0**53


class Entry(Form, omit_defaults=True):
    """An entry of the ledger; `at` in unix seconds."""

    at: float
    actor: str
    before: Split | None
    after: Split
    why: str
    phase: Phase
    version: str = ""
    since: float | None = None
    exact: bool = False
    user: str = ""
    parts: tuple[str, ...] = ()


class Seen(Form, omit_defaults=True):
    """What the platform's object asked for after the last entry; `since` in unix seconds."""

    split: Split
    since: float | None
    exact: bool = False


class Ledger(Form, omit_defaults=True):
    """The ledger, with the plan as it was locked; see `abctl.forms.plan`."""

    plan: str
    entries: tuple[Entry, ...]
    seen: Seen | None = None


class Preset(Form, omit_defaults=True):
    """Selectors of one way to instrument."""

    requests: str
    drawn: bool
    outside: str | None
    named: Mapping[str, tuple[_OfKind, ...]]
    outcome: tuple[_OfKind, ...]
    buckets: bool
    late: bool
    latency_unit_seconds: float
    platforms: tuple[str, ...]
    remarks: Mapping[str, str]
    by_per: Mapping[str, tuple[_OfKind, ...]] = {}
    answers: Mapping[str, tuple[str, ...]] = {}
    foreign: Mapping[str, str] = {}
    proxy: bool = False
    by_unit: tuple[_OfKind, ...] = ()
    ages: str | None = None
    lost: str | None = None
    feedback: bool = True
    dropped: str | None = None
    since: str | None = None
    grpc: str = ""


class MetricQueries(Form, omit_defaults=True):
    """What was asked for."""

    name: str
    preset: Preset
    names: Mapping[str, Mapping[str, tuple[str, ...]]]
    clients: "MetricQueries | None" = None


class Window(Form):
    """The seconds of one epoch that count."""

    epoch: int
    start: float
    end: float


class Series(Form):
    """Raw samples of one series."""

    labels: Mapping[str, str]
    times: Array
    values: Array


class Samples(Form, omit_defaults=True):
    """Everything that was read."""

    place: str
    windows: tuple[Window, ...]
    now: float
    interval_seconds: float
    found: Mapping[str, tuple[Series, ...]]
    starts: tuple[tuple[Target, Series], ...]
    scraped: tuple[tuple[Target, Array], ...]
    unreadable: Mapping[str, str] = {}
    absent: Mapping[str, Array] = {}


class Silence(Form):
    """A variant without a good answer for a while."""

    variant: str
    view: View
    seconds: float
    failed: float
    others_good: float
    others_failed: float
    due: float = 0.0


class Evidence(Form, omit_defaults=True):
    """All of it."""

    experiment: Experiment
    ledger: Ledger
    telemetry: MetricQueries
    place: str
    now: float
    samples: Samples | None
    ahead_seconds: float
    silences: tuple[Silence, ...] = ()
    recent: tuple[Samples, ...] | None = None


class _Numbers(Form, rename={"float64": "$float64"}, forbid_unknown_fields=True):
    """An array of one dimension; JSON has no infinities and no NaN, so these are texts."""

    float64: list[float | Literal["inf", "-inf", "nan"]]


def array_of(raw: bytes | msgspec.Raw) -> Array:
    """The array that JSON of `line_of` stands for.

    Raises:
        DamagedError: it holds something else than numbers.
    """
    try:
        return np.array(_READS(raw).float64, dtype=np.float64)
    except (ValueError, OverflowError, RecursionError):
        raise DamagedError("an array holds something else than float64") from None


_READS = msgspec.json.Decoder(_Numbers).decode


def line_of(array: Array) -> bytes:
    """An array as JSON; floats that are whole numbers are written as such."""
    whole = bool(
        np.all((np.abs(array) < _WHOLE) & (np.floor(array) == array))
        and not np.any(np.signbit(array[array == 0]))
    )
    numbers = (array.astype(np.int64) if whole else array).tolist()
    if not np.all(np.isfinite(array)):
        numbers = [n if abs(n) < np.inf else str(n) for n in numbers]
    return msgspec.json.encode({"$float64": numbers})


class Arrays:
    """The arrays of a document, each of them once.

    Args:
        known: those that have their numbers already.

    Attributes:
        found: all of them, in order.
    """

    def __init__(self, known: Iterable[Array] = ()) -> None:
        self.found: list[Array] = []
        self._numbers: dict[bytes, int] = {}
        for array in known:
            self.found.append(array)
            self._numbers.setdefault(_key(array), len(self.found) - 1)

    def number(self, array: object) -> float:
        """The number of an array; for msgspec, which knows no arrays."""
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.ndim != 1:
            return number(array)
        key = _key(array)
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            self.found.append(array)
        return self._numbers[key]


def _key(array: NDArray[Any]) -> bytes:
    """All that is no number is written alike, whichever of its many forms it has."""
    nan = np.isnan(array)
    return (np.where(nan, np.nan, array) if nan.any() else array).tobytes()


def array_at(arrays: Sequence[Array]) -> Any:
    """The hook for msgspec that gives an array for its number."""

    def find(_: type, at: Any) -> Array:
        known = isinstance(at, int) and not isinstance(at, bool)
        if not known or not 0 <= at < len(arrays):
            raise ValueError(f"{at!r}, must be the number of an array")
        found: Array = arrays[at]
        return found

    return find
