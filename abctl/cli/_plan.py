"""The answer of `abctl plan`, for people and for machines."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from abctl.core.delta import format_delta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abctl.services.plan import Answer, Question, Row
    from abctl.stats.estimate import Delta

_MANY_DAYS = 100


def document(answer: "Answer") -> dict[str, Any]:
    """Everything, unrounded."""
    asked = answer.question
    return {
        "kindOfMetric": asked.kind,
        "baseline": asked.baseline,
        "sd": asked.sd,
        "shares": list(asked.shares),
        "direction": asked.direction,
        "oneSided": asked.one_way,
        "comparisons": asked.comparisons,
        "sizeIs": "margin" if asked.is_margin else "mde",
        "alpha": asked.alpha,
        "power": asked.power,
        "test": asked.test,
        "designEffect": asked.design_effect,
        "unitsPerDay": asked.units_per_day,
        **_of_row(answer.row, asked),
        "tradeOff": [_of_row(row, asked) for row in answer.trade_off],
        "reach": [
            {"days": days, "size": None if found is None else format_delta(found, asked.kind)}
            for days, found in answer.reach
        ],
    }


def _of_row(row: "Row", asked: "Question") -> dict[str, Any]:
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
    """A line for each size of effect, the asked one in bold, and remarks below."""
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    asked, sequential = answer.question, answer.row.expected_total is not None
    shown = Table(box=None, pad_edge=False)
    treatments = range(1, len(asked.shares))
    names = [f"T{i}" for i in treatments] if len(treatments) > 1 else ["TREATMENT"]
    columns = [
        "MARGIN" if asked.is_margin else "MDE",
        *(["EFFECT"] if wide else []),
        "CONTROL",
        *names,
        "TOTAL",
    ]
    columns += ["MEAN"] if sequential else []
    columns += ["DAYS"] if asked.units_per_day else []
    columns += ["MEAN"] if asked.units_per_day and sequential else []
    for column in columns:
        shown.add_column(column, justify="right", no_wrap=True)
    for row in answer.trade_off:
        effect = [f"{row.effect:+.4g}"] if wide else []
        cells = [_short(row.size, asked), *effect, *(f"{n:,}" for n in row.n), f"{row.total:,}"]
        cells += [f"{row.expected_total:,.0f}"] if row.expected_total is not None else []
        cells += [_days(days) for days in (row.days, row.expected_days) if days is not None]
        shown.add_row(*cells, style="bold" if row.size == answer.row.size else None)
    return Group(shown, "", *_remarks(answer))


def _remarks(answer: "Answer") -> "Iterator[str]":
    asked, row = answer.question, answer.row
    value = "{:.4g}".format if asked.kind == "mean" else "{:.4%}".format
    before = _trim(value(asked.baseline))
    after = _trim(value(asked.baseline + (-row.effect if asked.is_margin else row.effect)))
    if asked.is_margin:
        yield f"shows that a treatment still at {before} is not at {after}"
    else:
        yield f"finds a change from {before} to {after}"
    sides = "one-sided" if asked.one_way else "two-sided"
    yield f"alpha {asked.alpha:g} {sides}, power {asked.power:g}"
    if asked.alpha_each < asked.alpha:
        yield f"each of {asked.comparisons} comparisons has alpha / {asked.comparisons}"
    if asked.design_effect != 1:
        yield f"clusters make each request worth 1 / {asked.design_effect:.3g}"
    if row.expected_total is None:
        yield "look once, at the end: an earlier look may not decide"
    else:
        yield "look at any time: TOTAL is the most it takes, MEAN if it is as planned"
    for days, found in answer.reach:
        finds = "nothing" if found is None else _short(found, asked)
        yield f"{days:g} days find {finds}"


def _short(size: "Delta", asked: "Question") -> str:
    return format_delta(replace(size, value=float(f"{size.value:.3g}")), asked.kind)


def _trim(percent: str) -> str:
    return f"{percent[:-1].rstrip('0').rstrip('.')}%" if percent.endswith("%") else percent


def _days(days: float) -> str:
    return f"{days:.1f}" if days < _MANY_DAYS else f"{days:,.0f}"
