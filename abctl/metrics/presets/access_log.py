"""The access log of the Envoy or nginx that abctl makes, counted by variant, bucket and class.

It is what clients got, and it knows the users: `ab_runtime.clients` hashes their ids to the same
buckets as the servers do, also of requests that no server has answered.
"""

from collections.abc import Mapping

from abctl.core.experiment import Kind
from abctl.core.selector import either
from abctl.metrics.presets import HERE, Parts, Preset, errors

_VARIANT = f'variant="$variant",{HERE}'
# Requests that chance did not put there, or without a unit, are counted apart and never compared.
_UNIT = f'{_VARIANT},bucket!="none"'
_REQUESTS = "ab_client_requests_total"
_LATENCY = "ab_client_request_duration_seconds"
_BY_BUCKET = "ab_client_bucket_request_duration_seconds"
_BY_GROUP = "ab_client_group_request_duration_seconds"


def _latency(histogram: str, name: str, count: str) -> Mapping[Kind, Parts]:
    return {
        "quantile": {"histogram": f"{histogram}_bucket{{{_VARIANT}}}"},
        "mean": {
            "n": f"{name}_{count}{{{_VARIANT}}}",
            "sum": f"{name}_{count.replace('count', 'sum')}{{{_VARIANT}}}",
            "sum_sq": f"{name}_sumsq_total{{{_VARIANT}}}",
        },
    }


PRESET = Preset(
    requests=f"{_REQUESTS}{{{_UNIT}}}",
    drawn=True,
    outside=f'{_REQUESTS}{{{_VARIANT},bucket="none"}}',
    named={
        "errors": errors(
            f'{_REQUESTS}{{{_UNIT},code=~"2xx|5xx|unanswered"}}',
            f'{_REQUESTS}{{{_UNIT},code=~"5xx|unanswered"}}',
        ),
        "latency": _latency(_LATENCY, _LATENCY, "count"),
    },
    by_unit=_latency(_BY_GROUP, _BY_BUCKET, "count_total"),
    buckets=True,
    late=False,
    platforms=("envoy", "nginx"),
    answers={
        "good": (f'{_REQUESTS}{{{_UNIT},code="2xx"}}',),
        "refused": (f'{_REQUESTS}{{{_UNIT},code="4xx"}}',),
        "failed": (f'{_REQUESTS}{{{_UNIT},code=~"5xx|unanswered"}}',),
        "unanswered": (f'{_REQUESTS}{{{_UNIT},code="unanswered"}}',),
    },
    proxy=True,
    # Envoy counts what it drops; of nginx the reader does.
    dropped=either(
        f"envoy_access_logs_grpc_access_log_logs_dropped{{{HERE}}}",
        f"ab_client_log_lost_total{{{HERE}}}",
    ),
    since=f"ab_client_start_time_seconds{{{_VARIANT}}}",
    remarks={
        "errors": "5xx and no answer of a server, among answers that were not refused, by the "
        "proxy's access log; gRPC by its status",
        "latency": "from the first byte of a request to the last one of its answer, by the proxy's "
        "access log, of every request that was randomized",
    },
)
