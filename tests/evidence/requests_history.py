"""What a Prometheus has of two variants that answer calmly, as OpenMetrics."""

from collections.abc import Iterator

STEP_SECONDS = 60


def requests(since: float, until: float, *variants: str) -> Iterator[str]:
    """Ten requests a minute by each of four buckets of users, of each variant."""
    yield "# TYPE ab_requests counter\n"
    times = range(int(since), int(until), STEP_SECONDS)
    for variant in variants:
        for bucket in range(4):
            labels = f'variant="{variant}",bucket="{bucket}",code="2xx",instance="{variant}"'
            yield from (
                f"ab_requests_total{{{labels}}} {10 * i} {t}\n" for i, t in enumerate(times)
            )
    yield "# EOF\n"
