"""The counters of abctl's own runtime in the model servers."""

from abctl.metrics.presets import HERE, Preset, errors

_VARIANT = f'variant="$variant",{HERE}'
# Requests without a unit are not randomized: they are counted apart and never compared.
_UNIT = f'{_VARIANT},bucket!="none"'
_OUTCOME = f'{_UNIT},outcome="$outcome"'
# What a client did wrong (4xx) says nothing of a model: it is neither an error nor a request here.
_FAILED = f'ab_requests_total{{{_UNIT},code="5xx"}}'
_ANSWERED = f'ab_requests_total{{{_UNIT},code=~"2xx|5xx"}}'
_LATENCY = "ab_request_duration_seconds"
_COUNT = f"ab_outcome_count_total{{{_OUTCOME}}}"
_POSITIVE = f'ab_outcome_sum_total{{{_OUTCOME},sign="positive"}}'
_NEGATIVE = f'ab_outcome_sum_total{{{_OUTCOME},sign="negative"}}'

PRESET = Preset(
    requests=f"ab_requests_total{{{_UNIT}}}",
    drawn=True,
    outside=f'ab_requests_total{{{_VARIANT},bucket="none"}}',
    named={
        "errors": errors(_ANSWERED, _FAILED),
        "latency": {
            "quantile": {"histogram": f"{_LATENCY}_bucket{{{_VARIANT}}}"},
            "mean": {
                "n": f"{_LATENCY}_count{{{_VARIANT}}}",
                "sum": f"{_LATENCY}_sum{{{_VARIANT}}}",
                "sum_sq": f"{_LATENCY}_sumsq_total{{{_VARIANT}}}",
            },
        },
    },
    outcome={
        "proportion": {"n": _COUNT, "successes": _POSITIVE},
        "mean": {
            "n": _COUNT,
            "sum": _POSITIVE,
            "negative_sum": _NEGATIVE,
            "sum_sq": f"ab_outcome_sumsq_total{{{_OUTCOME}}}",
        },
        "rate": {"events": _POSITIVE, "exposure": f"ab_requests_total{{{_UNIT}}}"},
    },
    buckets=True,
    late=False,
    remarks={
        "errors": "5xx among answers of 2xx and 5xx; errors of clients (4xx) are in neither",
        "latency": "inside the model server, of every request that was randomized",
    },
)
