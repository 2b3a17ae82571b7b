"""Envoy's access log: a line for each request for predictions, sent to whoever counts them.

It goes over gRPC and never to a file, because the id of the user is in it. Envoy keeps a bounded
part of it and drops what the reader does not take (`logs_dropped`), so no request waits for it.
"""

from typing import Any

from abctl.platforms import _entrance

CLUSTER = "_access_log"
# The fields that `ab_runtime.clients` reads, with a blank between; none of them holds one.
_LINE = " ".join(
    f"%{field}%"
    for field in (
        "UPSTREAM_CLUSTER_RAW",
        "RESPONSE_CODE",
        "RESPONSE_CODE_DETAILS",
        "RESPONSE_FLAGS",
        "GRPC_STATUS_NUMBER",
        "COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)",
        "DURATION",
        "REQ(x-ab-randomized)",
    )
)
_BUFFER_BYTES = 256 * 1024
_TYPES = "type.googleapis.com/envoy"

Json = dict[str, Any]


def access_log(key: str) -> Json:
    """The log; `key` is the header that names the unit."""
    asked = {"name": ":path", "string_match": {"safe_regex": {"regex": _entrance.PREDICTIONS}}}
    tags = [
        {"tag": "line", "value": _LINE},
        {"tag": "unit", "request_header": {"name": key}},
        {"tag": "timeout", "request_header": {"name": "grpc-timeout"}},
    ]
    common = {
        "log_name": "abctl",
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": CLUSTER}},
        "buffer_flush_interval": "0.2s",
        "buffer_size_bytes": _BUFFER_BYTES,
        "custom_tags": tags,
    }
    return {
        "name": "envoy.access_loggers.http_grpc",
        "filter": {"header_filter": {"header": asked}},
        "typed_config": {
            "@type": f"{_TYPES}.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
            "common_config": common,
        },
    }
