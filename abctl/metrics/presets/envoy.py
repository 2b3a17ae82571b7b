"""Envoy as abctl configures it: two clusters for each variant, of HTTP and of gRPC."""

from dataclasses import replace

from abctl.core.selector import either
from abctl.metrics.presets import (
    AS_HTTP,
    ERRORS,
    GRPC_FAILED,
    GRPC_REFUSED,
    HERE,
    UNANSWERED,
    Preset,
    errors,
)

_CLASS = "envoy_response_code_class"
_BY_CODE, _CODE = "envoy_cluster_upstream_rq", "envoy_response_code"


def of_clusters(clusters: str, platform: str, *, drawn: bool) -> Preset:
    """What Envoy counts of its clusters, chosen by matchers; its histogram is in milliseconds."""
    by_class = f"envoy_cluster_upstream_rq_xx{{{clusters},{_CLASS}"
    return Preset(
        requests=f"envoy_cluster_upstream_rq_completed{{{clusters}}}",
        drawn=drawn,
        named={
            "errors": errors(f'{by_class}=~"2|5"}}', f'{by_class}="5"}}'),
            "latency": {
                "quantile": {"histogram": f"envoy_cluster_upstream_rq_time_bucket{{{clusters}}}"}
            },
        },
        latency_unit_seconds=0.001,
        platforms=(platform,),
        answers={
            "good": (f'{by_class}=~"[23]"}}',),
            "refused": (f'{by_class}="4"}}',),
            "failed": (f'{by_class}="5"}}',),
            "unanswered": (f'{_BY_CODE}{{{clusters},{_CODE}=~"{UNANSWERED}"}}',),
        },
        proxy=True,
        remarks={
            "errors": "5xx among answers of 2xx and 5xx, also those that Envoy made",
            "latency": "by Envoy, in whole milliseconds, of every answer whatever its code",
        },
        grpc=AS_HTTP,
    )


_BOTH = f'envoy_cluster_name=~"$variant(_grpc)?",{HERE}'
_HTTP = f'envoy_cluster_name="$variant",{HERE}'
_GRPC = f'envoy_cluster_name="$variant_grpc",{HERE}'


def _statuses(statuses: str) -> tuple[str, ...]:
    """The counters of calls of gRPC, one for each status; to HTTP each of them is a 200."""
    return tuple(f"envoy_cluster_grpc_{status}{{{_GRPC}}}" for status in statuses.split("|"))


def _of_both() -> Preset:
    found, http = (of_clusters(each, "envoy", drawn=False) for each in (_BOTH, _HTTP))
    by_status = {
        "good": _statuses("0"),
        "refused": _statuses(GRPC_REFUSED),
        "failed": _statuses(GRPC_FAILED),
        "unanswered": _statuses("14"),
    }
    failed = (*http.answers["failed"], *by_status["failed"])
    by_http = http.named[ERRORS]["proportion"]
    answered = (by_http["n"], *by_status["good"], *by_status["failed"])
    return replace(
        found,
        named={**found.named, ERRORS: errors(either(*answered), either(*failed))},
        remarks={**found.remarks, ERRORS: f"{found.remarks[ERRORS]}; gRPC by its status"},
        grpc="",
        feedback=False,  # it has clusters of its own
        answers={kind: http.answers[kind] + more for kind, more in by_status.items()},
    )


PRESET = _of_both()
