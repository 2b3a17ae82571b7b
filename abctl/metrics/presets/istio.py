"""Istio: what the calling proxy (the gateway, or a sidecar) counts of each destination."""

from abctl.metrics.presets import Preset, errors

# The proxy of the server counts the same requests again, where there is one.
_ALL = 'reporter="source",destination_service="$upstream"'
_ANSWERED = f'{_ALL},response_code=~"2..|5.."'

PRESET = Preset(
    requests=f"istio_requests_total{{{_ALL}}}",
    named={
        "errors": errors(
            f"istio_requests_total{{{_ANSWERED}}}",
            f'istio_requests_total{{{_ALL},response_code=~"5.."}}',
        ),
        "latency": {
            "quantile": {"histogram": f"istio_request_duration_milliseconds_bucket{{{_ANSWERED}}}"}
        },
    },
    latency_unit_seconds=0.001,
    platforms=("istio",),
    remarks={
        "errors": "5xx among answers of 2xx and 5xx, also those that the proxy made; an error of "
        "gRPC is a 200 here",
        "latency": "by the calling proxy, with the network",
    },
)
