"""A metrics page of 0.5 MB: our reading of its lines beside the parser of prometheus_client."""

import argparse
import statistics
import time
from collections.abc import Callable

from _table import machine, markdown, target
from prometheus_client.parser import text_string_to_metric_families

from abctl.sources._page_lines import sample_of

BYTES = 500_000


def page() -> str:
    """Counters of variants, classes and buckets, as those of the runtime."""
    lines = ["# HELP ab_requests_total Answers.\n# TYPE ab_requests_total counter\n"]
    size = 0
    for number in range(BYTES):
        labels = f'experiment="iris",variant="v{number % 2}",class="2xx",bucket="{number}"'
        lines.append(f"ab_requests_total{{{labels}}} {number * 7}.0\n")
        size += len(lines[-1])
        if size >= BYTES:
            return "".join(lines)
    raise AssertionError


def ours(text: str) -> int:
    return len([sample_of(line) for line in text.splitlines() if not line.startswith("#")])


def theirs(text: str) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(text))


def seconds(read: Callable[[str], int], text: str) -> float:
    start = time.perf_counter()
    read(text)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    text = page()
    assert ours(text) == theirs(text)
    times = [[seconds(read, text) for read in (ours, theirs)] for _ in range(rounds)]
    mine, other = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(f"{rounds} interleaved runs; {machine()}\n")
    rows = [
        ("abctl", f"{mine:.0f} ms", "", ""),
        ("prometheus_client", f"{other:.0f} ms", "", ""),
        ("abctl / prometheus_client", *target(ratio, 1, "x", at_least=False)),
    ]
    print(markdown(("a page of 0.5 MB", "measured", "wanted", ""), rows))


if __name__ == "__main__":
    main()
