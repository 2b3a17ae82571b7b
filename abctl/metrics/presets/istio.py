"""Istio: what the calling proxy counts of each destination: gateway, sidecar, or a waypoint.

Where a gateway or sidecar passes requests on to a waypoint, both report them: see
`abctl.evidence.counters.processes`.
"""

from abctl.core.selector import either
from abctl.metrics.presets import GRPC_FAILED, GRPC_REFUSED, UNANSWERED, Preset, errors

# The proxy of the server counts the same requests again, where there is one.
_ALL = 'reporter=~"source|waypoint",destination_service="$upstream"'
_ANSWERED = f'{_ALL},response_code=~"2..|5.."'
_BY_CODE = f"istio_requests_total{{{_ALL}"
# A call of gRPC is a 200 whose status says how it went.
_GRPC = f'{_BY_CODE},response_code="200",grpc_response_status'
_FAILED = f'{_BY_CODE},response_code=~"5.."}}', f'{_GRPC}=~"{GRPC_FAILED}"}}'
_GOOD = f'{_BY_CODE},response_code=~"2..",grpc_response_status=~"|0"}}'

PRESET = Preset(
    requests=f"istio_requests_total{{{_ALL}}}",
    named={
        "errors": errors(either(_GOOD, *_FAILED), either(*_FAILED)),
        "latency": {
            "quantile": {"histogram": f"istio_request_duration_milliseconds_bucket{{{_ANSWERED}}}"}
        },
    },
    latency_unit_seconds=0.001,
    platforms=("istio",),
    answers={
        "good": (f'{_BY_CODE},response_code=~"[23]..",grpc_response_status=~"|0"}}',),
        "refused": (f'{_BY_CODE},response_code=~"4.."}}', f'{_GRPC}=~"{GRPC_REFUSED}"}}'),
        # 0: the connection ended without an answer.
        "failed": (f'{_BY_CODE},response_code=~"5..|0"}}', f'{_GRPC}=~"{GRPC_FAILED}"}}'),
        "unanswered": (f'{_BY_CODE},response_code=~"{UNANSWERED}|0"}}', f'{_GRPC}="14"}}'),
    },
    proxy=True,
    remarks={
        "errors": "5xx among answers of 2xx and 5xx, also those that the proxy made; gRPC by "
        "its status",
        "latency": "by the calling proxy, with the network",
    },
)
