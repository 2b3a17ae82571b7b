"""PromQL (pure): which selectors hold the parts of a metric, and what a plain selector selects.

A metric of some kind is made of parts, each the sum of the counters that one selector finds. In
selectors `$variant` stands for the name of the variant and `$outcome` for what the metric is `of`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from abctl.core.experiment import Kind, Metric
from abctl.errors import SourceError

PARTS: Mapping[Kind, tuple[str, ...]] = {
    "proportion": ("n", "successes"),
    "mean": ("n", "sum", "sum_sq"),
    "quantile": ("histogram",),
    "rate": ("events", "exposure"),
}
OPTIONAL_PARTS: Mapping[Kind, tuple[str, ...]] = {"mean": ("negative_sum",)}

# Requests without a unit are not randomized: they are counted apart and never compared.
_UNIT = 'variant="$variant",bucket!="none"'
_OUTCOME = f'{_UNIT},outcome="$outcome"'
# What a client did wrong (4xx) says nothing of a model: it is neither an error nor a request here.
_ERRORS = f'ab_requests_total{{{_UNIT},code="5xx"}}'
_ANSWERED = f'ab_requests_total{{{_UNIT},code=~"2xx|5xx"}}'
_LATENCY = "ab_request_duration_seconds"
_POSITIVE = f'ab_outcome_sum_total{{{_OUTCOME},sign="positive"}}'
_NEGATIVE = f'ab_outcome_sum_total{{{_OUTCOME},sign="negative"}}'


@dataclass(frozen=True)
class Preset:
    """The selectors of one way to instrument.

    Attributes:
        requests, outside: exposures of the experiment, and requests that are not part of it.
        named: parts of what it measures itself (errors, latency), by name and kind.
        outcome: parts of any other name, by kind.
        remarks: what a reader should know of what it measures itself, by name.
    """

    requests: str
    outside: str
    named: Mapping[str, Mapping[Kind, Mapping[str, str]]]
    outcome: Mapping[Kind, Mapping[str, str]]
    remarks: Mapping[str, str]


PRESETS: Mapping[str, Preset] = {
    "abctl": Preset(
        requests=f"ab_requests_total{{{_UNIT}}}",
        outside='ab_requests_total{variant="$variant",bucket="none"}',
        named={
            "errors": {
                "proportion": {"n": _ANSWERED, "successes": _ERRORS},
                "rate": {"events": _ERRORS, "exposure": _ANSWERED},
            },
            "latency": {
                "quantile": {"histogram": f'{_LATENCY}_bucket{{variant="$variant"}}'},
                "mean": {
                    "n": f'{_LATENCY}_count{{variant="$variant"}}',
                    "sum": f'{_LATENCY}_sum{{variant="$variant"}}',
                    "sum_sq": f'{_LATENCY}_sumsq_total{{variant="$variant"}}',
                },
            },
        },
        outcome={
            "proportion": {"n": f"ab_outcome_count_total{{{_OUTCOME}}}", "successes": _POSITIVE},
            "mean": {
                "n": f"ab_outcome_count_total{{{_OUTCOME}}}",
                "sum": _POSITIVE,
                "negative_sum": _NEGATIVE,
                "sum_sq": f"ab_outcome_sumsq_total{{{_OUTCOME}}}",
            },
            "rate": {"events": _POSITIVE, "exposure": f"ab_requests_total{{{_UNIT}}}"},
        },
        remarks={
            "errors": "5xx among answers of 2xx and 5xx; errors of clients (4xx) are in neither",
            "latency": "inside the model server, of every request that was randomized",
        },
    ),
}


def preset(name: str) -> Preset:
    """A preset by its name.

    Raises:
        SourceError: unknown.
    """
    if name not in PRESETS:
        raise SourceError(f"source.preset: no {name!r}", f"known presets: {', '.join(PRESETS)}")
    return PRESETS[name]


def resolve(metric: Metric, variant: str, chosen: Preset) -> dict[str, str]:
    """The selector of each part of a metric for one variant; the metric's own come first.

    Raises:
        SourceError: a part that nobody selects, one that the kind does not have, or a selector
            of the metric's own that does not say which variant.
    """
    known = (*PARTS[metric.kind], *OPTIONAL_PARTS.get(metric.kind, ()))
    for part, selector in metric.selectors.items():
        if part not in known:
            raise SourceError(
                f"metric {metric.name}: kind {metric.kind} has no part {part!r}",
                f"its parts: {', '.join(known)}",
            )
        if "$variant" not in selector:
            raise SourceError(
                f"metric {metric.name}: selector {selector!r} is the same for all variants",
                'put $variant where its name belongs, e.g. {variant="$variant"}',
            )
    offered = chosen.named.get(metric.of, chosen.outcome).get(metric.kind, {})
    # A metric that selects for itself does not get half of its parts from somewhere else.
    found = metric.selectors or offered
    missing = [part for part in PARTS[metric.kind] if part not in found]
    if missing:
        raise SourceError(
            f"metric {metric.name}: nothing selects {missing[0]!r} of {metric.of} as {metric.kind}",
            f"give it selectors: {{{', '.join(f'{part}: ...' for part in PARTS[metric.kind])}}}",
        )
    return {part: fill(selector, variant, metric.of) for part, selector in found.items()}


def fill(selector: str, variant: str, outcome: str = "") -> str:
    """A selector with its placeholders filled in, as text between double quotes."""
    return selector.replace("$variant", _escape(variant)).replace("$outcome", _escape(outcome))


def one_of(label: str, values: list[str]) -> str:
    """A matcher for any of the values."""
    pattern = "|".join(re.escape(value) for value in sorted(values))
    return f'{label}=~"{_escape(pattern)}"'


_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_SELECTOR = re.compile(r"^\s*([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s*$", re.DOTALL)


@dataclass(frozen=True)
class Selector:
    """A plain selector, for sources that have no PromQL of their own."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read `name{label="value", other=~"a|b"}`.

        Raises:
            SourceError: anything else.
        """
        whole = _SELECTOR.match(text)
        body, at, matchers = (whole and whole[2]) or "", 0, []
        while whole and at < len(body.rstrip()):
            part = _MATCHER.match(body, at)
            if part is None:
                whole = None
                break
            matchers.append((part[1], part[2], _checked(part[2], unescape(part[3]))))
            at = part.end()
        if whole is None:
            raise SourceError(f"{text!r} is not a selector", 'write name{label="value"}')
        return cls(whole[1], tuple(matchers))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series has the name and satisfies every matcher; no label is an empty one."""
        return labels.get("__name__") == self.name and all(
            _fits(labels.get(label, ""), operator, value)
            for label, operator, value in self.matchers
        )


def _checked(operator: str, value: str) -> str:
    try:
        re.compile(value if "~" in operator else "")
    except re.error as error:
        raise SourceError(f"{value!r} is not a regular expression: {error}") from None
    return value


def _fits(actual: str, operator: str, value: str) -> bool:
    same = re.fullmatch(value, actual) is not None if "~" in operator else actual == value
    return same != operator.startswith("!")


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def unescape(text: str) -> str:
    r"""Label values as they are: `\"`, `\\` and `\n` undone."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
