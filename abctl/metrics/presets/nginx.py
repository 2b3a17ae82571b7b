"""nginx with the module vts (nginx-module-vts 0.2): an upstream called as the variant.

nginx by itself counts connections only (stub_status). The module's histogram must be switched on:
`vhost_traffic_status_histogram_buckets`.
"""

from abctl.metrics.presets import HERE, Preset, errors

_ALL = f'upstream="$variant",{HERE}'
_REQUESTS = "nginx_vts_upstream_requests_total"
_LATENCY = "nginx_vts_upstream_response_duration_seconds_bucket"

PRESET = Preset(
    # Beside the classes there is code="total".
    requests=f'{_REQUESTS}{{{_ALL},code=~"[1-5]xx"}}',
    feedback=False,  # it has upstreams of its own
    named={
        "errors": errors(
            f'{_REQUESTS}{{{_ALL},code=~"2xx|5xx"}}', f'{_REQUESTS}{{{_ALL},code="5xx"}}'
        ),
        "latency": {"quantile": {"histogram": f"{_LATENCY}{{{_ALL}}}"}},
    },
    platforms=("nginx",),
    # It counts classes only: what no server answered is among the 5xx.
    answers={
        "good": (f'{_REQUESTS}{{{_ALL},code=~"[23]xx"}}',),
        "refused": (f'{_REQUESTS}{{{_ALL},code="4xx"}}',),
        "failed": (f'{_REQUESTS}{{{_ALL},code="5xx"}}',),
    },
    proxy=True,
    remarks={
        "errors": "5xx among answers of 2xx and 5xx",
        "latency": "what the upstream took, of every answer whatever its code",
    },
    grpc="it is not counted, nor is any other call",
)
