"""Seldon Core 2: its agent's metrics, a Model for each variant; no histogram tells Models apart."""

from abctl.metrics.presets import Preset, errors

_MODEL = 'model="$upstream",namespace=~"$namespace|"'
# REST has numbers, gRPC has names.
_OF_CLIENTS = (
    "4..|InvalidArgument|NotFound|AlreadyExists|PermissionDenied|Unauthenticated|"
    "FailedPrecondition|OutOfRange|Canceled"
)

PRESET = Preset(
    requests=f"seldon_model_infer_total{{{_MODEL}}}",
    named={
        "errors": errors(
            f'seldon_model_infer_total{{{_MODEL},code!~"{_OF_CLIENTS}"}}',
            f'seldon_model_infer_total{{{_MODEL},code!~"2..|OK|{_OF_CLIENTS}"}}',
        ),
    },
    platforms=("seldon2",),
    answers={
        "good": (f'seldon_model_infer_total{{{_MODEL},code=~"[23]..|OK"}}',),
        "refused": (f'seldon_model_infer_total{{{_MODEL},code=~"{_OF_CLIENTS}"}}',),
        "failed": (f'seldon_model_infer_total{{{_MODEL},code!~"[23]..|OK|{_OF_CLIENTS}"}}',),
        "unanswered": (f'seldon_model_infer_total{{{_MODEL},code=~"50[234]|Unavailable"}}',),
    },
    proxy=True,
    remarks={"errors": "by REST and gRPC; errors of clients are in neither"},
)
