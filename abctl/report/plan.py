"""The answer of `abctl plan`: its numbers as people write them, and as data for machines."""

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from abctl.analysis.plan import LARGEST, Kind
from abctl.analysis.ramp import Step
from abctl.core.delta import format_delta
from abctl.core.number import parse_number
from abctl.core.split import TOTAL_BP, format_share, parse_shares_bp
from abctl.core.time import parse_duration_seconds
from abctl.errors import UsageError
from abctl.stats.power import sizes as sizing
from abctl.stats.summary import SummaryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abctl.analysis.plan import Answer, Question
    from abctl.analysis.plan import Row as Needed
    from abctl.report.layout import Row
    from abctl.stats.delta import Delta

_MANY_DAYS = 100
_WAYS = {
    "fixed": "1 (fixed)",
    "group-sequential": "5 (O'Brien-Fleming)",
    "horizon": "any (horizon)",
    "sequential": "any (sequential)",
}
_PER_DAY = {"s": 86_400.0, "min": 1440.0, "h": 24.0, "day": 1.0, "week": 1 / 7}
_TRAFFIC = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*/\s*(s|min|h|day|week)\s*$", re.ASCII)
_PERCENT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$", re.ASCII)
_MOST_REQUESTS = 1_000_000  # of a user
_MOST_TREATMENTS = 1_000  # more would hardly have a share


def document(answer: "Answer") -> dict[str, Any]:
    """Everything, unrounded."""
    asked = answer.question
    return {
        "kindOfMetric": asked.kind,
        "baseline": asked.baseline,
        "sd": asked.sd,
        "coefficientsOfVariation": None if asked.cvs is None else list(asked.cvs[:2]),
        "correlation": None if asked.cvs is None else asked.cvs[2],
        "quantile": asked.quantile,
        "shares": list(asked.shares),
        "ramp": [{"shares": list(step.shares), "days": step.days} for step in asked.ramp],
        "direction": asked.direction,
        "oneSided": asked.one_way,
        "comparisons": asked.comparisons,
        "sizeIs": "margin" if asked.is_margin else "mde",
        "alpha": asked.alpha,
        "power": asked.power,
        "test": asked.test,
        "designEffect": asked.design_effect,
        "requestsPerUser": asked.requests_per_user,
        "unitsPerDay": asked.units_per_day,
        **_of_row(answer.row, asked),
        "tradeOff": [_of_row(row, asked) for row in answer.trade_off],
        "looking": [{"test": how, **_of_row(row, asked)} for how, row in answer.looking],
        "pairs": None
        if (pairs := answer.pairs) is None
        else {"n": pairs.n, "labels": pairs.labels, "answersDifferRatio": pairs.differ},
        "reach": [
            {"days": days, "size": None if found is None else format_delta(found, asked.kind)}
            for days, found in answer.reach
        ],
    }


def _of_row(row: "Needed", asked: "Question") -> dict[str, Any]:
    return {
        "size": format_delta(row.size, asked.kind),
        "effect": row.effect,
        "n": list(row.n),
        "total": row.total,
        "expectedTotal": row.expected_total,
        "days": row.days,
        "expectedDays": row.expected_days,
    }


def table(answer: "Answer", *, wide: bool) -> object:
    """What each size of effect and each way of looking takes, and remarks below."""
    from rich.console import Group  # noqa: PLC0415

    from abctl.report import layout  # noqa: PLC0415
    from abctl.report.prose import prose  # noqa: PLC0415

    sizes, ways = (layout.table(rows) for rows in (size_rows(answer, wide=wide), way_rows(answer)))
    return Group(sizes, "", ways, "", *map(prose, remarks(answer)))


def size_rows(answer: "Answer", *, wide: bool) -> "list[Row]":
    """What each size of effect takes; wide: with the effect in the metric's unit."""
    asked = answer.question
    name = "MARGIN" if asked.is_margin else "MDE"
    firsts = [
        {name: _short(row.size, asked)} | ({"EFFECT": f"{row.effect:+.4g}"} if wide else {})
        for row in answer.trade_off
    ]
    return _rows(answer, list(zip(firsts, answer.trade_off, strict=True)))


def way_rows(answer: "Answer") -> "list[Row]":
    """What each way of looking takes for the size that was asked for."""
    looks = f"LOOKS, FOR {_short(answer.row.size, answer.question)}"
    return _rows(answer, [({looks: _WAYS[how]}, row) for how, row in answer.looking])


def _rows(answer: "Answer", rows: "list[tuple[dict[str, str], Needed]]") -> "list[Row]":
    """Rows with what comes before each; the one that was asked for in bold."""
    from abctl.report import layout  # noqa: PLC0415

    asked, shown = answer.question, []
    early = any(row.expected_total is not None for _, row in rows)
    alike = _alike(asked)
    for first, row in rows:
        # A test for one look takes what it takes.
        expected_total = row.total if row.expected_total is None else row.expected_total
        days, expected_days = row.days, row.expected_days
        names = (_each(asked),) if alike else (f"T{i}" for i in range(1, len(asked.shares)))
        treatments = dict(zip(names, (f"{n:,}" for n in row.n[1:]), strict=not alike))
        cells = {**first, "CONTROL": f"{row.n[0]:,}", **treatments, "TOTAL": f"{row.total:,}"}
        cells |= {"EXPECTED": f"{expected_total:,.0f}"} if early else {}
        if days is not None:
            cells["DAYS"] = _days(days)
            expected_days = days if expected_days is None else expected_days
            cells |= {"EXPECTED DAYS": _days(expected_days)} if early else {}
        shown.append(layout.Row(cells, style="bold" if row == answer.row else ""))
    return shown


def _alike(asked: "Question") -> bool:
    """Whether all treatments get the same, so that one column says it."""
    return len(set(asked.shares[1:])) == 1


def _each(asked: "Question") -> str:
    treatments = len(asked.shares) - 1
    return "TREATMENT" if treatments == 1 else f"EACH OF {treatments:,}"


def remarks(answer: "Answer") -> "Iterator[str]":
    """What is found then, and what a reader should know."""
    asked, row = answer.question, answer.row
    value = "{:.4%}".format if asked.kind == "proportion" else "{:.4g}".format
    before = _trim(value(asked.baseline))
    after = _trim(value(asked.baseline + (-row.effect if asked.is_margin else row.effect)))
    if asked.is_margin:
        yield f"shows that a treatment still at {before} is not at {after}"
    else:
        yield f"finds a change from {before} to {after}"
    sides = "one-sided" if asked.one_way else "two-sided"
    yield f"alpha {asked.alpha:g} {sides}, power {asked.power:g}"
    if asked.alpha_each < asked.alpha:
        yield f"each of {asked.comparisons:,} comparisons has alpha / {asked.comparisons:,}"
    if asked.ramp:
        days = sum(step.days for step in asked.ramp)
        yield f"the first {_days(days)} days are the ramp, whose units tell less than later ones"
    if asked.design_effect != 1:
        users = row.total / asked.requests_per_user
        yield (
            f"clusters make each request worth 1 / {asked.design_effect:.3g}; "
            f"TOTAL is that of about {users:,.0f} users"
        )
    if row.expected_total is None:
        yield "look once, at the end: an earlier look may not decide"
    else:
        yield "look at any time: TOTAL is the most it takes, EXPECTED the mean if it is as planned"
    fixed = next(each for how, each in answer.looking if how == "fixed")
    if answer.elsewhere not in (None, fixed.n[0]):
        yield (
            f"for one look other calculators say {answer.elsewhere:,} in the control, this one "
            f"{fixed.n[0]:,}: they take the control's variance for both variants if nothing "
            "differs; the test pools both"
        )
    if (pairs := answer.pairs) is not None:
        differ = _trim(f"{pairs.differ:.4%}")
        yield (
            f"where both models answer the same requests, as a shadow does, and {differ} of the "
            f"answers differ (--answers-differ), {pairs.n:,} requests and about {pairs.labels:,} "
            "labels would do, looked at once: where answers agree nothing can differ. That is of "
            "right and wrong answers, not of what users do"
        )
    if not asked.one_way:
        yield "an experiment decides one-sided: --one-sided, or give its file"
    for days, found in answer.reach:
        finds = "nothing" if found is None else _short(found, asked)
        yield f"{days:g} days find {finds}"


def _short(size: "Delta", asked: "Question") -> str:
    return format_delta(replace(size, value=float(f"{size.value:.3g}")), asked.kind)


def _trim(percent: str) -> str:
    return f"{percent[:-1].rstrip('0').rstrip('.')}%" if percent.endswith("%") else percent


def _days(days: float) -> str:
    return f"{days:.1f}" if days < _MANY_DAYS else f"{days:,.0f}"


def parse_baseline(text: str, kind: Kind) -> float:
    """The control's value: `5%` for proportions, a number for other kinds.

    Raises:
        UsageError: a proportion that is not between 0% and 100% or has no unit, or no number; a
            rate or a quantile that is not over 0.
    """
    hint = "write 5% for a proportion, 12.5 for a mean (--kind mean)"
    percent = _PERCENT.match(text)
    try:
        value = float(percent[1]) / 100 if percent else parse_number(text)
    except ValueError:
        value = math.nan
    wrong = not 0 < value < 1 if kind == "proportion" else bool(percent)
    wrong |= kind in ("rate", "quantile") and not value > 0
    if wrong or not abs(value) <= LARGEST:
        raise UsageError(f"baseline {text!r} is no {kind}", hint)
    if kind == "proportion" and not percent:
        raise UsageError(f"baseline {text!r} has no unit, must say which", hint)
    return value


def parse_answers_differ(text: str) -> float:
    """`5%`, the share of requests that two models answer differently.

    Raises:
        UsageError: no percentage over 0% and at most 100%.
    """
    percent = _PERCENT.match(text)
    if percent is None or not 0 < float(percent[1]) <= 100:  # noqa: PLR2004 - all of them
        raise UsageError(f"--answers-differ {text!r}, must be over 0%, at most 100%", "write 5%")
    return float(percent[1]) / 100


def parse_traffic_per_day(text: str) -> float:
    """`10000/day` or `120/s` as units per day.

    Raises:
        UsageError: no number over a time, or none.
    """
    match = _TRAFFIC.match(text)
    if match is None or not 0 < float(match[1]) <= LARGEST:
        raise UsageError(
            f"traffic {text!r} is not a rate",
            "write 10000/day; also /s, /min, /h, /week",
        )
    return float(match[1]) * _PER_DAY[match[2]]


def parse_shares(split: str | None, treatments: int | None) -> tuple[float, ...]:
    """`90/10` as shares; without a split, the shares that are best for so many treatments.

    Raises:
        UsageError: not one share above 0 for each variant, or a sum that is not 100%.
    """
    if split is None:
        wanted = 1 if treatments is None else treatments
        if not 1 <= wanted <= _MOST_TREATMENTS:
            bounds = f"must be from 1 to {_MOST_TREATMENTS:,}"
            raise UsageError(f"--treatments {wanted}, {bounds}", "2 with A/B/C")
        return sizing.best_shares(wanted)
    if "/" not in split:
        raise UsageError(
            f"split {split!r} names one share, must have one for each variant",
            "shares, the control's first: 90/10",
        )
    shares = parse_shares_bp(split)
    if len(shares) != (treatments or max(1, len(shares) - 1)) + 1 or min(shares) == 0:
        raise UsageError(f"split {split!r}", "one share above 0 for control and each treatment")
    if sum(shares) != TOTAL_BP:
        raise UsageError(
            f"split {split!r} sums to {format_share(sum(shares))}, must be 100%", "write 90/10"
        )
    return tuple(share / TOTAL_BP for share in shares)


def parse_ramp(text: str, variants: int) -> tuple[Step, ...]:
    """`95/5:1d,80/20:2d` as steps: splits of so many variants, each with its time.

    Raises:
        UsageError: a step without its time, of another number of variants, or not a split.
    """
    steps = []
    for each in text.split(","):
        split, colon, time = each.strip().partition(":")
        if not (split and colon):
            lacking = "time" if split else "split"
            message = f"--ramp {each.strip()!r} has no {lacking}"
            raise UsageError(message, "--ramp 95/5:1d,80/20:2d")
        shares = parse_shares(split, variants - 1)
        steps.append(Step(shares, parse_duration_seconds(time) / 86_400.0))
    return tuple(steps)


def clustering(per_user: float, cv: float, correlation: float) -> float:
    """The design effect of users with several requests each.

    Raises:
        UsageError: numbers that describe no users.
    """
    hint = "--requests-per-user 8 --requests-cv 1.2 --correlation 0.05"
    given = {"requests-per-user": per_user, "requests-cv": cv, "correlation": correlation}
    for option, value in given.items():
        if not abs(value) <= _MOST_REQUESTS:
            raise UsageError(f"--{option} {value:g}, must be at most {_MOST_REQUESTS:,}", hint)
    try:
        return sizing.design_effect(per_user, cv, correlation)
    except SummaryError as error:
        raise UsageError(str(error), hint) from None
