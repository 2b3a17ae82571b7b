"""The answer of `abctl plan`, for people and for machines."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from abctl.core.delta import format_delta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from abctl.services.plan import Answer, Question, Row
    from abctl.stats.delta import Delta

_MANY_DAYS = 100
_MANY_TREATMENTS = 5  # so many columns fit
_WAYS = {
    "fixed": "1 (fixed)",
    "group-sequential": "5 (O'Brien-Fleming)",
    "sequential": "any (sequential)",
}


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
        "requestsPerUser": asked.requests_per_user,
        "unitsPerDay": asked.units_per_day,
        **_of_row(answer.row, asked),
        "tradeOff": [_of_row(row, asked) for row in answer.trade_off],
        "looking": [{"test": how, **_of_row(row, asked)} for how, row in answer.looking],
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
    """What each size of effect and each way of looking takes, and remarks below."""
    from rich.console import Group  # noqa: PLC0415

    asked = answer.question
    head = ["MARGIN" if asked.is_margin else "MDE", *(["EFFECT"] if wide else [])]
    sizes = [
        ([_short(row.size, asked), *([f"{row.effect:+.4g}"] if wide else [])], row)
        for row in answer.trade_off
    ]
    ways = [([_WAYS[how]], row) for how, row in answer.looking]
    looks = f"LOOKS, FOR {_short(answer.row.size, asked)}"
    return Group(
        _rows(answer, head, sizes), "", _rows(answer, [looks], ways), "", *_remarks(answer)
    )


def _rows(answer: "Answer", head: list[str], rows: list[tuple[list[str], "Row"]]) -> "Table":
    """A table of rows with what comes before each; the row that was asked for in bold."""
    from rich.table import Table  # noqa: PLC0415

    shown, asked = Table(box=None, pad_edge=False), answer.question
    early = any(row.expected_total is not None for _, row in rows)
    names = [f"T{i}" for i in range(1, len(asked.shares))]
    alike = len(names) > _MANY_TREATMENTS and len({*asked.shares[1:]}) == 1
    names = [f"EACH OF {len(names)}"] if alike else names
    columns = [*head, "CONTROL", *(names if len(asked.shares) > 2 else ["TREATMENT"]), "TOTAL"]  # noqa: PLR2004 - a control and one
    columns += ["EXPECTED"] if early else []
    columns += ["DAYS"] if asked.units_per_day else []
    columns += ["EXPECTED DAYS"] if asked.units_per_day and early else []
    for column in columns:
        shown.add_column(column, justify="right")
    for first, row in rows:
        # A test for one look takes what it takes.
        expected_total = row.total if row.expected_total is None else row.expected_total
        days, expected_days = row.days, row.expected_days
        sizes = row.n[:2] if alike else row.n
        cells = [*first, *(f"{n:,}" for n in sizes), f"{row.total:,}"]
        cells += [f"{expected_total:,.0f}"] if early else []
        if days is not None:
            cells += [_days(days)]
            cells += [_days(days if expected_days is None else expected_days)] if early else []
        shown.add_row(*cells, style="bold" if row == answer.row else None)
    return shown


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
        users = row.total / asked.requests_per_user
        yield (
            f"clusters make each request worth 1 / {asked.design_effect:.3g}; "
            f"TOTAL is that of about {users:,.0f} users"
        )
    if row.expected_total is None:
        yield "look once, at the end: an earlier look may not decide"
    else:
        yield "look at any time: TOTAL is the most it takes, EXPECTED the mean if it is as planned"
    for days, found in answer.reach:
        finds = "nothing" if found is None else _short(found, asked)
        yield f"{days:g} days find {finds}"


def _short(size: "Delta", asked: "Question") -> str:
    return format_delta(replace(size, value=float(f"{size.value:.3g}")), asked.kind)


def _trim(percent: str) -> str:
    return f"{percent[:-1].rstrip('0').rstrip('.')}%" if percent.endswith("%") else percent


def _days(days: float) -> str:
    return f"{days:.1f}" if days < _MANY_DAYS else f"{days:,.0f}"
