"""Knative up to 1.18: its queue proxy's metrics, in milliseconds, with the revision in a label."""

from abctl.metrics.presets import Preset, answers, errors

_ALL = 'namespace_name="$namespace",revision_name="$upstream"'
_ANSWERED = f'{_ALL},response_code_class=~"2xx|5xx"'

PRESET = Preset(
    requests=f"revision_app_request_count{{{_ALL}}}",
    named={
        "errors": errors(
            f"revision_app_request_count{{{_ANSWERED}}}",
            f'revision_app_request_count{{{_ALL},response_code_class="5xx"}}',
        ),
        "latency": {
            "quantile": {"histogram": f"revision_app_request_latencies_bucket{{{_ANSWERED}}}"}
        },
    },
    latency_unit_seconds=0.001,
    answers=answers("revision_app_request_count", _ALL, "response_code"),
    proxy=True,
    remarks={
        "errors": "5xx among answers of 2xx and 5xx",
        "latency": "by the queue proxy",
    },
)
