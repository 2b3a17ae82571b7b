"""Seldon Core v1: its executor's metrics, a predictor for each variant."""

from abctl.metrics.presets import Preset, answers, errors

_NAME = "seldon_api_executor_server_requests_seconds"
_ALL = (
    'deployment_name="$experiment",predictor_name="$variant",namespace=~"$namespace|",'
    'service="predictions"'
)
_ANSWERED = f'{_ALL},code=~"2..|5.."'

PRESET = Preset(
    requests=f"{_NAME}_count{{{_ALL}}}",
    named={
        "errors": errors(f"{_NAME}_count{{{_ANSWERED}}}", f'{_NAME}_count{{{_ALL},code=~"5.."}}'),
        "latency": {"quantile": {"histogram": f"{_NAME}_bucket{{{_ANSWERED}}}"}},
    },
    platforms=("seldon",),
    answers=answers(f"{_NAME}_count", _ALL, "code"),
    proxy=True,
    remarks={
        "errors": "5xx among answers of 2xx and 5xx, by REST",
        "latency": "between executor and model, by REST",
    },
    grpc="it is not counted, nor is any other call",
)
