"""Blocks of Prometheus with a known history: pods that restart and are replaced."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

INTERVAL_SECONDS, BLOCK_SECONDS = 15, 7200
BEGIN = 1_700_006_400  # where a block begins
COUNTERS = ("ab_requests", "ab_outcome_count", "ab_outcome_sum")
_VERSION = 2


@dataclass(frozen=True)
class Shape:
    """How much there is: `pods` for each of two variants, replaced or restarted each 12 hours."""

    pods: int
    scrapes: int
    buckets: int = 64

    @property
    def series(self) -> int:
        return 2 * self.pods * self.buckets * len(COUNTERS)

    @property
    def samples(self) -> int:
        return self.series * self.scrapes

    @property
    def end(self) -> float:
        return BEGIN + self.scrapes * INTERVAL_SECONDS

    @property
    def name(self) -> str:
        text = f"{_VERSION} {sorted(asdict(self).items())}"
        return f"{self.samples // 10**6}M-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def blocks(shape: Shape, folder: Path, promtool: str) -> Path:
    """The folder with the blocks; they are built if they are not there."""
    done = folder / shape.name
    if not done.exists():
        unfinished = folder / f".{shape.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        text = unfinished / "openmetrics.txt"
        # One file for each block: promtool reads the whole file once for each of them.
        for lines in _pages(shape):
            with text.open("w") as file:
                file.writelines(lines)
            command = [
                promtool,
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                "-q",
                text,
                unfinished,
            ]
            subprocess.run(command, check=True)
        text.unlink()
        unfinished.rename(done)
    return done


def _pages(shape: Shape) -> Iterator[Iterator[str]]:
    rng = np.random.default_rng(7)
    per_block = BLOCK_SECONDS // INTERVAL_SECONDS
    pods = [(variant, pod) for variant in "ab" for pod in range(shape.pods)]
    age = dict.fromkeys(pods, 0)  # how often it was replaced
    started = {pod: float(BEGIN - 3600) for pod in pods}
    offset = {pod: float(rng.integers(1, 15_000)) / 1000 for pod in pods}
    shape_of_values = (len(COUNTERS), shape.buckets)
    values = {pod: rng.integers(0, 1000, shape_of_values).astype(float) for pod in pods}
    for block, first in enumerate(range(0, shape.scrapes, per_block)):
        scrapes = np.arange(first, min(first + per_block, shape.scrapes))
        times = BEGIN + scrapes * INTERVAL_SECONDS
        series: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {c: [] for c in COUNTERS}
        starts = []
        for i, pod in enumerate(pods):
            more = rng.poisson(0.7, (*shape_of_values, len(times)))
            grown = values[pod][..., None] + np.cumsum(more, axis=-1)
            begin = np.full(len(times), started[pod])
            name = f"{pod[0]}-{pod[1]}-{age[pod]}"
            cut = len(times)
            if block and (block + i) % 6 == 0:  # the next one, in the middle of a block
                cut = int(rng.integers(40, len(times) - 40)) if len(times) > 100 else 0
                replaced = (block + i) % 12 == 0
                age[pod] += replaced
                started[pod] = float(times[cut] + offset[pod] - 3)
                begin[cut:] = started[pod]
                grown[..., cut:] -= grown[..., cut, None] - more[..., cut, None]
            values[pod] = grown[..., -1]
            at = times + offset[pod]
            for part in (slice(0, cut), slice(cut, None)):
                if len(at[part]) == 0:
                    continue
                name = f"{pod[0]}-{pod[1]}-{age[pod]}" if part.start else name
                labels = f'variant="{pod[0]}",job="models",instance="{name}:8082",pod="{name}"'
                starts.append((f"{{{labels}}}", at[part], begin[part]))
                for c, counter in enumerate(COUNTERS):
                    for bucket in range(shape.buckets):
                        more_labels = f'{{{labels},bucket="{bucket}",code="2xx"}}'
                        series[counter].append((more_labels, at[part], grown[c, bucket, part]))
        yield _page(series, starts)


def _page(series: dict[str, list], starts: list) -> Iterator[str]:
    for counter, found in series.items():
        yield f"# TYPE {counter} counter\n"
        yield from _lines(f"{counter}_total", found)
    yield "# TYPE process_start_time_seconds gauge\n"
    yield from _lines("process_start_time_seconds", starts)
    yield "# EOF\n"


def _lines(name: str, found: list) -> Iterator[str]:
    stamps: dict[bytes, list[str]] = {}
    for labels, times, values in found:
        key = times.tobytes()
        if key not in stamps:
            stamps[key] = [f" {time:.3f}\n" for time in times.tolist()]
        head = f"{name}{labels} "
        texts = values.astype(np.int64).tolist() if name[0] == "a" else values.tolist()
        yield "".join([f"{head}{v}{t}" for v, t in zip(texts, stamps[key], strict=True)])
