"""Knative 1.19.8, 1.20.1 and later: its queue proxy's metrics, a revision for each variant.

They do not name the revision, so the scrape has to: the pod's label `serving.knative.dev/revision`
as a target label (`podTargetLabels` of a PodMonitor).
"""

from abctl.metrics.presets import AS_HTTP, Preset, answers, errors

_NAME = "kn_serving_invocation_duration_seconds"
_ALL = 'serving_knative_dev_revision="$upstream",namespace=~"$namespace|"'
_ANSWERED = f'{_ALL},http_response_status_code=~"2..|5.."'

PRESET = Preset(
    requests=f"{_NAME}_count{{{_ALL}}}",
    named={
        "errors": errors(
            f"{_NAME}_count{{{_ANSWERED}}}",
            f'{_NAME}_count{{{_ALL},http_response_status_code=~"5.."}}',
        ),
        "latency": {"quantile": {"histogram": f"{_NAME}_bucket{{{_ANSWERED}}}"}},
    },
    platforms=("kserve",),
    answers=answers(f"{_NAME}_count", _ALL, "http_response_status_code"),
    proxy=True,
    remarks={
        "errors": "5xx among answers of 2xx and 5xx",
        "latency": "by the queue proxy; Knative before 1.19.9 and 1.20.2 counts whole seconds",
    },
    grpc=AS_HTTP,
)
