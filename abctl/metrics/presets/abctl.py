"""The counters of abctl's own runtime in the model servers."""

from abctl.core.selector import MATURES_IN
from abctl.metrics.presets import HERE, Preset, errors

_VARIANT = f'variant="$variant",{HERE}'
# Requests without a unit are not randomized: they are counted apart and never compared.
_UNIT = f'{_VARIANT},bucket!="none"'
# A collector counts an outcome when its prediction is mature, servers when they are told.
_OUTCOME = f'{_UNIT},outcome="$outcome",{MATURES_IN}="$maturity"'
# What a client did wrong (4xx) says nothing of a model: it is neither an error nor a request here.
_FAILED = f'ab_requests_total{{{_UNIT},code="5xx"}}'
_ANSWERED = f'ab_requests_total{{{_UNIT},code=~"2xx|5xx"}}'
_LATENCY = "ab_request_duration_seconds"
# The same of requests that have a bucket, by it, and by group of buckets as a histogram.
_BY_BUCKET = "ab_bucket_request_duration_seconds"
_BY_GROUP = "ab_group_request_duration_seconds"
_COUNT = f"ab_outcome_count_total{{{_OUTCOME}}}"
_POSITIVE = f'ab_outcome_sum_total{{{_OUTCOME},sign="positive"}}'
_NEGATIVE = f'ab_outcome_sum_total{{{_OUTCOME},sign="negative"}}'
_SQUARES = f"ab_outcome_sumsq_total{{{_OUTCOME}}}"
_GOOD = f'ab_requests_total{{{_UNIT},code="2xx"}}'
_OVER = f'{_UNIT},outcome="$over",{MATURES_IN}="$maturity",sign="positive"'
_AGES = f'{_VARIANT},outcome="$outcome",hit="$hit",{MATURES_IN}="$maturity"'
_USERS = f"ab_user_outcome_count_total{{{_OUTCOME}}}"
_USERS_WITH_ANY = {"n": _USERS, "successes": f"ab_user_outcome_hits_total{{{_OUTCOME}}}"}
_USERS_POSITIVE = f'ab_user_outcome_sum_total{{{_OUTCOME},sign="positive"}}'
_USERS_NEGATIVE = f'ab_user_outcome_sum_total{{{_OUTCOME},sign="negative"}}'

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
            "sum_sq": _SQUARES,
        },
        "rate": {"events": _POSITIVE, "exposure": f"ab_requests_total{{{_UNIT}}}"},
        "ratio": {
            "sum": _POSITIVE,
            "negative_sum": _NEGATIVE,
            "over": f"ab_outcome_sum_total{{{_OVER}}}",
        },
    },
    by_per={
        "request": {
            "proportion": {"n": _GOOD, "successes": _POSITIVE},
            "mean": {"n": _GOOD, "sum": _POSITIVE, "negative_sum": _NEGATIVE, "sum_sq": _SQUARES},
            "rate": {"events": _POSITIVE, "exposure": _GOOD},
        },
        "user": {
            "proportion": _USERS_WITH_ANY,
            "retention": _USERS_WITH_ANY,
            "mean": {
                "n": _USERS,
                "sum": _USERS_POSITIVE,
                "negative_sum": _USERS_NEGATIVE,
                "sum_sq": f"ab_user_outcome_sumsq_total{{{_OUTCOME}}}",
            },
            "ratio": {
                "sum": _USERS_POSITIVE,
                "negative_sum": _USERS_NEGATIVE,
                "over": f"ab_user_outcome_sum_total{{{_OVER}}}",
            },
        },
    },
    by_unit={
        "quantile": {"histogram": f"{_BY_GROUP}_bucket{{{_VARIANT}}}"},
        "mean": {
            "n": f"{_BY_BUCKET}_count_total{{{_VARIANT}}}",
            "sum": f"{_BY_BUCKET}_sum_total{{{_VARIANT}}}",
            "sum_sq": f"{_BY_BUCKET}_sumsq_total{{{_VARIANT}}}",
        },
    },
    ages=f"ab_outcome_age_seconds_bucket{{{_AGES}}}",
    lost=f'ab_feedback_total{{{_VARIANT},what="lost"}}',
    buckets=True,
    late=False,
    answers={
        "good": (f'ab_requests_total{{{_UNIT},code="2xx"}}',),
        "refused": (f'ab_requests_total{{{_UNIT},code="4xx"}}',),
        "failed": (_FAILED,),
    },
    remarks={
        "errors": "5xx among answers of 2xx and 5xx; errors of clients (4xx) are in neither",
        "latency": "inside the model server, of every request that was randomized",
    },
)
