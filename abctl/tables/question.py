"""What is asked of a table: its columns, and metrics written as `NAME: AGGREGATE(COLUMN)`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from abctl.core.delta import parse_delta
from abctl.core.experiment import Direction, Kind, Metric, Role
from abctl.core.tables import Cap
from abctl.core.time import parse_duration_seconds
from abctl.errors import SpecError, UsageError
from abctl.stats.delta import Delta

Aggregate = Literal["mean", "share", "sum", "count", "quantile", "retention"]

_METRIC = re.compile(
    r"""^\s*(?P<name>[^:()"]+?)\s*:\s*(?P<aggregate>[A-Za-z]+\d*)\s*
    \(\s*(?P<column>"(?:[^"]|"")+"|[^()"<>=]*?)\s*
    (?:(?P<operator>>=|<=|>|<)\s*(?P<bound>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*)?\)
    (?P<rest>.*)$""",
    re.VERBOSE | re.DOTALL,
)
_REST = re.compile(
    r"""^\s*(?:cap\s+(?P<cap>\d+(?:\.\d*)?%?)(?=[\s,]|$)\s*,?)?
    \s*(?:[+-]?(?P<margin>(?:\d+(?:\.\d*)?|\.\d+)(?:%|pp|abs)))?\s*,?\s*
    (?:(?P<direction>higher|lower)(?:\s+is\s+better)?)?\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
_HINT = '--metric "accuracy: mean(correct)" or --guardrail "latency: p95(latency_ms) +10%"'
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "median": 0.5}
_LEAST_CAP, _LARGEST_CAP = 50, 1e12
_KINDS: dict[Aggregate, Kind] = {
    "share": "proportion",
    "retention": "proportion",
    "quantile": "quantile",
}
_LOWER = re.compile(
    r"latenc(?:y|ies)|(?:^|[\W_])(?:duration|wait|ms|seconds|errors?|fail\w*|timeouts?|loss|"
    r"churn\w*|refund\w*|complain\w*)(?:$|[\W_])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Asked:
    """A metric, and how it is taken from a column.

    >>> asked = parse_metric("latency: p95(latency_ms) +10%")
    >>> asked.metric.role, asked.metric.quantile, asked.metric.direction, asked.column
    ('guardrail', 0.95, 'decrease', 'latency_ms')

    Attributes:
        column: None where rows are counted.
        condition: what a number must be to count, such as `("> ", 250.0)`; None: the value itself.
        assumed: whether its direction was taken from its name.
        after, window: of retention, from when to when (seconds after its first row) a unit is to
            have another row.
    """

    metric: Metric
    aggregate: Aggregate
    column: str | None
    condition: tuple[str, float] | None = None
    assumed: bool = False
    after: float = 0.0
    window: float = 0.0


@dataclass(frozen=True)
class Question:
    """What is asked of a table.

    >>> asked = parse_metric("accuracy: mean(correct)", "primary")
    >>> Question("model_version", "user_id", (asked,)).metrics[0].metric.name
    'accuracy'

    Attributes:
        variant: the column that says which variant answered.
        unit: the column of who was assigned; None: each row is a unit of its own.
        control: the value of the control; None: the one that is plainly called so.
        shares: the split as it was given; None: equal shares.
        segments: columns by whose values results are told apart.
        answer: the column of what was answered; with equal answers a pair needs no number.
        at: the column of when a row was; retention needs it.
    """

    variant: str
    unit: str | None
    metrics: tuple[Asked, ...]
    control: str | None = None
    shares: str | None = None
    alpha: float = 0.05
    segments: tuple[str, ...] = ()
    answer: str | None = None
    at: str | None = None

    def __post_init__(self) -> None:
        """Each column says one thing.

        Raises:
            UsageError: one is asked to say two.
        """
        said = {self.variant: "--variant"}
        others = [("--unit", self.unit), ("--answer", self.answer)]
        for option, column in [*others, *(("--segment", each) for each in self.segments)]:
            if column is None or (option == "--segment" and column == self.unit):
                continue  # a segment a unit is of too few, and told as such
            if column in said:
                other = said[column]
                already = "given twice" if other == option else f"the column of {other} already"
                raise UsageError(
                    f"{option} {column!r} is {already}",
                    f"leave {option} out, or name another column",
                )
            said[column] = option
        for asked in self.metrics:
            if asked.column in self.segments:
                raise UsageError(
                    f"--segment {asked.column!r} is measured by metric {asked.metric.name}",
                    "a segment must be known before the variant is, such as a country",
                )


def parse_metric(text: str, role: Role = "secondary") -> Asked:
    """A metric as people write it; with a margin it is a guardrail.

    >>> parse_metric("slow: share(latency_ms > 250)").condition
    ('>', 250.0)
    >>> parse_metric("revenue: sum(amount) cap 99.9%").metric.cap
    Cap(at=0.999, of_values=True)

    Raises:
        UsageError: it is not written so, or no such aggregate.
    """
    found = _METRIC.match(text)
    rest = found and _REST.match(found["rest"])
    if not found or not rest:
        hint = f'{_HINT}; of a share: "slow: share(latency_ms > 250)", with >, >=, < or <='
        raise UsageError(f"metric {text!r} cannot be read", hint if "share" in text else _HINT)
    name, word = found["name"], found["aggregate"].lower()
    aggregate, quantile = _aggregate(word, text)
    column = found["column"]
    after, window = _times(column, text) if aggregate == "retention" else (0.0, 0.0)
    if column.startswith('"'):
        column = column[1:-1].replace('""', '"')
    rows = aggregate == "retention" or (aggregate == "count" and column in ("", "*"))
    if not column and not rows:
        raise UsageError(f"metric {text!r} names no column", _HINT)
    condition = (found["operator"], float(found["bound"])) if found["operator"] else None
    if condition and not math.isfinite(condition[1]):
        raise UsageError(f"metric {text!r}: {found['bound']} is too large", "a smaller number")
    if condition and aggregate != "share":
        raise UsageError(f"metric {text!r}: only share(...) takes a condition", f"{_HINT}")
    # More of what is above a bound is better exactly if higher numbers are.
    lower = bool(_LOWER.search(name) or (column and _LOWER.search(column)))
    lower = lower != bool(condition and condition[0].startswith("<"))
    said = rest["direction"]
    direction: Direction = (
        "decrease" if (said.lower() == "lower" if said else lower) else "increase"
    )
    margin = parse_delta(rest["margin"]) if rest["margin"] else None
    cap = None if rest["cap"] is None else _cap(rest["cap"], aggregate, text)
    bound = f" {condition[0]} {condition[1]:g}" if condition else ""
    metric = Metric(
        name=name,
        role="guardrail" if margin and role == "secondary" else role,
        kind=_KINDS.get(aggregate, "mean"),
        of=f"{word}({column or '*'}{bound})",
        direction=direction,
        margin=margin,
        quantile=quantile,
        cap=cap,
    )
    taken = None if rows else column
    return Asked(metric, aggregate, taken, condition, not said, after, window)


def _times(written: str, text: str) -> tuple[float, float]:
    """From when to when, after its first row, a unit is to come back."""
    try:
        after, window = (parse_duration_seconds(each.strip()) for each in written.split(","))
    except (SpecError, ValueError):
        after = window = 0.0
    if not 0 < after < window:
        raise UsageError(
            f"metric {text!r}: retention takes two durations, the first above 0 and the shorter",
            "retention(7d, 14d): the share of units that have a row in their second week",
        )
    return after, window


def _cap(written: str, aggregate: Aggregate, text: str) -> Cap:
    """What a larger number of a unit counts as."""
    if aggregate not in ("sum", "count"):
        raise UsageError(
            f"metric {text!r}: a cap is of what a unit has in all, sum(...) or count(...)",
            "leave it out",
        )
    at = float(written.removesuffix("%"))
    if not written.endswith("%"):
        if not 0 < at <= _LARGEST_CAP:
            raise UsageError(
                f"metric {text!r}: cap {written}, must be above 0 and at most {_LARGEST_CAP:g}",
                "cap 1000, or a share of the units: cap 99.9%",
            )
        return Cap(at, of_values=False)
    if not _LEAST_CAP <= at < 100:  # noqa: PLR2004 - percent
        raise UsageError(
            f"metric {text!r}: cap {written}, must be from {_LEAST_CAP}% to below 100%",
            "cap 99.9%, or a number: cap 1000",
        )
    return Cap(round(at / 100, 12), of_values=True)


def _aggregate(word: str, text: str) -> tuple[Aggregate, float | None]:
    if word in _QUANTILES:
        return "quantile", _QUANTILES[word]
    if word == "proportion":
        word = "share"
    for known in ("mean", "share", "sum", "count", "retention"):
        if word == known:
            return known, None
    raise UsageError(
        f"metric {text!r}: no aggregate {word!r}",
        "mean, share, sum, count, retention, p50, p90, p95 or p99",
    )


def with_roles(
    metrics: Sequence[str],
    guardrails: Sequence[str],
    primary: str | None = None,
    mde: Delta | None = None,
) -> tuple[Asked, ...]:
    """All metrics: the first, or the one that is named, is the primary.

    >>> found = with_roles(["a: mean(x)", "b: mean(y)"], ["c: p95(z) +5%"], primary="b")
    >>> [(each.metric.name, each.metric.role) for each in found]
    [('a', 'secondary'), ('b', 'primary'), ('c', 'guardrail')]

    Raises:
        UsageError: one cannot be read, a name stands twice, a guardrail has no margin, or nothing
            is called like the primary.
    """
    read = [parse_metric(text) for text in metrics]
    names = [each.metric.name for each in read]
    if not read:
        besides = " beside the guardrails" if guardrails else ""
        raise UsageError(f"no metric was given{besides}: what is to get better?", _HINT)
    first = names[0] if primary is None else primary
    if first not in names:
        raise UsageError(f"--primary {first!r}: no such --metric", f"metrics: {', '.join(names)}")
    found = list[Asked]()
    for each in read:
        if each.metric.name != first:
            found.append(each)
            continue
        if each.metric.margin:
            raise UsageError(
                f"primary {first!r} has a margin, which is for guardrails",
                f'--guardrail "{first}: ... +10%", or leave the margin out',
            )
        found.append(replace(each, metric=replace(each.metric, role="primary", mde=mde)))
    for text in guardrails:
        each = parse_metric(text, "guardrail")
        if each.metric.margin is None:
            raise UsageError(f"guardrail {text!r} has no margin", f'--guardrail "{text} +10%"')
        found.append(each)
    all_names = [each.metric.name for each in found]
    if twice := sorted({name for name in all_names if all_names.count(name) > 1}):
        raise UsageError(f"metric {twice[0]!r} is given twice", "give each a name of its own")
    return tuple(found)
