"""MLServer's own metrics. The variant is the label that the scrape gives its target.

Its labels `model` and `version` are what the client asked for, so they say nothing of a variant.
"""

from abctl.metrics.presets import HERE, Preset, errors

_VARIANT = f'variant="$variant",{HERE}'
_MODEL = f'{_VARIANT},model="$model"'
_ALL = f"model_infer_request_duration_count{{{_MODEL}}}"
_REST = f'{_VARIANT},path=~".*/infer",status_code=~"2..|5.."'

PRESET = Preset(
    requests=_ALL,
    feedback=False,
    named={
        "errors": errors(_ALL, f"model_infer_request_failure_total{{{_MODEL}}}"),
        "latency": {
            "quantile": {"histogram": f"rest_server_request_duration_seconds_bucket{{{_REST}}}"},
        },
    },
    platforms=("inferencegraph",),
    # Its histogram does not tell models of one server apart.
    foreign={"latency": f'model_infer_request_duration_count{{{_VARIANT},model!="$model"}}'},
    remarks={
        "errors": "failures of the model by REST and gRPC, also where it refuses what was asked "
        "(400); what MLServer cannot read at all (422) is in neither",
        "latency": "REST only, inside the server without the wait for its event loop; below 5 ms "
        "its histogram has one cell",
    },
)
