"""One line of the access log to one count: whose answer it was, of which class, how long it took.

A line has, with a blank between: the cluster, the HTTP status, how Envoy came to it, its flags,
the status of gRPC, microseconds from the first byte of the request to the last one of the answer,
milliseconds until the request was over, and `x-ab-randomized`. What is missing is empty. nginx has
the timeout that a client of gRPC gave behind its flags; Envoy sends it by itself.
"""

import re
from collections.abc import Sequence
from itertools import cycle
from threading import Lock

from ab_runtime.answers import GRPC_OF_CLIENTS, Answers, Counted, OfVariant
from ab_runtime.table import EDGES_SECONDS
from ab_runtime.variant import Variant

CODES = ("2xx", "4xx", "5xx", "unanswered", "none")
"""`unanswered` is a 5xx that the proxy made, because no server answered it."""
GRPC = ".grpc"
"""What ends the name of a cluster of gRPC; before it stands the variant."""
_COUNTED = Counted(
    "ab_client_",
    CODES,
    "reader of the proxy's access log",
    "Time from the first byte of a client's request to the last one of its answer",
    # No proxy and server answer within less.
    tuple(edge for edge in EDGES_SECONDS if edge >= 1e-4),  # noqa: PLR2004
)
_PARTS = 8
_DEADLINE = "4"
_TIMEOUT = re.compile("([0-9]{1,8})([HMSmun])").fullmatch
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
# A client's clock, and how gRPC rounds a timeout up when it tells it.
_EARLY_SECONDS, _EARLY_SHARE = 0.05, 0.02
# By status, what is no failure; a call that the client has cancelled has no answer.
_OF_GRPC = {"0": "2xx", "1": "none", **{str(each): "4xx" for each in GRPC_OF_CLIENTS}}
# The client has left: its connection, or its stream of HTTP/2.
_LEFT = frozenset(("DC", "DR"))
_BY_SERVER = "via_upstream"
_BROKEN = "upstream_reset_after_response_started"


class Counting:
    """Counts what clients of the variants of an experiment got.

    Args:
        variants: their names.
        rules: how units are assigned; its name is nobody's.
    """

    def __init__(self, variants: Sequence[str], rules: Variant) -> None:
        self._rules = rules
        self._lock = Lock()
        self._answers = Answers(variants, rules.buckets, _COUNTED)
        places = {each: self._answers.of(each) for each in variants}
        self._places = places | {f"{name}{GRPC}": place for name, place in places.items()}
        # A request that is its own unit is in any bucket.
        self._own = cycle(map(str, range(rules.buckets)))

    def count(self, line: bytes, unit: bytes, timeout: bytes = b"") -> None:
        """Count one request; what is of no variant, or no such line, is left out."""
        found = line.decode(errors="replace").split(" ")
        if len(found) != _PARTS or (place := self._places.get(found[0])) is None:
            return
        cluster, status, details, flags, grpc, micros, millis, drawn = found
        code = _code(status, details, flags, grpc if cluster.endswith(GRPC) else None)
        seconds = _seconds(micros, millis)
        given = timeout.decode(errors="replace") or flags.rpartition(",")[2]
        if code == "5xx" and grpc == _DEADLINE and _is_over(given, seconds):
            code = "none"
        sent = drawn.encode() or None
        bucket = self._rules.bucket_of([unit] if unit else [], sent)
        with self._lock:
            self._add(
                place,
                next(self._own) if bucket is None else bucket,
                code,
                seconds if drawn != "false" and code != "4xx" else None,
            )

    def page(self, open_metrics: bool = False) -> str:
        """All of it as it stood at one moment."""
        with self._lock:
            return self._answers.text(open_metrics)

    @staticmethod
    def _add(place: OfVariant, bucket: str, code: str, seconds: float | None) -> None:
        place.request(bucket, code)
        if seconds is not None:
            place.took(seconds, bucket)


def _code(status: str, details: str, flags: str, grpc: str | None) -> str:
    """The class of an answer; `grpc` is None where it is not of gRPC."""
    if status == "0" or not _LEFT.isdisjoint(flags.split(",")):
        return "none"
    failed = "5xx" if details.startswith((_BY_SERVER, _BROKEN)) else "unanswered"
    if grpc is not None and status == "200" and not details.startswith(_BROKEN):
        return _OF_GRPC.get(grpc, failed)
    if status >= "5" or details.startswith(_BROKEN):
        return failed
    return "4xx" if status >= "4" else "2xx"


def _is_over(timeout: str, seconds: float | None) -> bool:
    """Whether an answer took as long as its client waits: what says so is that client's clock.

    The server has the same timeout, and is often first to tell the proxy that it is over.
    """
    found = _TIMEOUT(timeout)
    if found is None or seconds is None:
        return False
    given = float(found[1]) * _UNIT_SECONDS[found[2]]
    return seconds >= given * (1 - _EARLY_SHARE) - _EARLY_SECONDS


def _seconds(micros: str, millis: str) -> float | None:
    """How long an answer took; of what had no last byte, until it was over."""
    if micros.isdecimal():
        return float(micros) / 1e6
    return float(millis) / 1e3 if millis.isdecimal() else None
