"""Prometheus' remote write: protocol buffers, and a snappy that does not compress."""

import struct
import urllib.request
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

STALE_BITS = 0x7FF0000000000002
Labels = tuple[tuple[str, str], ...]
Samples = Sequence[tuple[int, float]]  # milliseconds and value; NaN ends a series
History = Mapping[Labels, Samples]


def varint(number: int) -> bytes:
    head = bytearray()
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*head, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(ms: int, value: float) -> bytes:
    number = struct.pack("<Q", STALE_BITS) if np.isnan(value) else struct.pack("<d", value)
    return b"\x09" + number + b"\x10" + varint(ms)


def request(series: Iterable[tuple[Labels, Samples]]) -> bytes:
    whole = b"".join(
        field(
            1,
            b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels)
            + b"".join(field(2, sample(*each)) for each in samples),
        )
        for labels, samples in series
    )
    parts = [whole[i : i + 60_000] for i in range(0, len(whole), 60_000)]
    literals = (b"\xf4" + struct.pack("<H", len(each) - 1) + each for each in parts)
    return varint(len(whole)) + b"".join(literals)


def push(url: str, history: History, minutes: float = 5.0, **more: str) -> None:
    """Write a history in the order of time, some minutes at a time; `more` are headers."""
    headers = more | {
        "content-type": "application/x-protobuf",
        "content-encoding": "snappy",
        "x-prometheus-remote-write-version": "0.1.0",
    }
    times = [ms for samples in history.values() for ms, _ in samples]
    step = round(minutes * 60_000)
    for first in range(min(times), max(times) + 1, step):
        some = [(k, [s for s in v if first <= s[0] < first + step]) for k, v in history.items()]
        body = request((k, v) for k, v in some if v)
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as got:
            assert got.status in (200, 204)
