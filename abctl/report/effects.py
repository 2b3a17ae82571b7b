"""The table of an analysis: each metric of each treatment, what is asked of it, and the answer."""

import math
from collections.abc import Iterator

from rich.text import Text

from abctl.core import figures
from abctl.core.analysis import Analysis, Comparison, MetricResult
from abctl.core.reasons import Reason
from abctl.report.layout import Row, table
from abctl.report.prose import prose
from abctl.report.question import Question, question
from abctl.stats.estimate import Estimate, NotEstimable

_ASKED = {
    "better": "better",
    "harm": "worse",
    "non-inferior": "within margin",
    "different": "any difference",
}
_SIDES = {"greater": "above", "less": "under"}
_HUGE_LOG_E = 20.0


def compared(found: Analysis, wide: bool) -> Iterator[Text]:
    """The table, between what its numbers are and how its intervals are to be read."""
    if rows := effect_rows(found, wide):
        yield Text(prose(of_effects(found)))
        yield table(rows, left={"PROVEN"})
    if said := legend(found):
        yield Text(prose(said, hanging=0), "dim")


def effect_rows(found: Analysis, wide: bool) -> list[Row]:
    """A row for each comparison, in the order of the metrics."""
    return [effect_row(found, m, each, wide) for m in found.metrics for each in m.comparisons]


def of_effects(found: Analysis) -> str:
    """What stands above them."""
    if of_table(found):
        return "compared:"
    return "compared period by period (one split each), so values differ from the totals:"


def of_table(found: Analysis) -> bool:
    """Whether it is of a table of events: one period, and nothing counted beside its metrics."""
    return found.preset == "table"


def of_pairs(found: Analysis) -> bool:
    """Whether it is of units that both variants answered."""
    return any(note.code == "pairsSayNot" for note in found.notes)


def of_units(found: Analysis) -> bool:
    """Whether all of its metrics are of tables, of units with a window each."""
    return found.preset == "events"


def legend(found: Analysis) -> str:
    """How P and the intervals are to be read, as far as there are any."""
    rows = [question(comparison) for metric in found.metrics for comparison in metric.comparisons]
    asked = [each for each in rows if isinstance(each, Question)]
    said = list[str]()
    if any(each.says != "different" for each in asked):
        holm = ", or its share of that by Holm" if any(each.corrected for each in asked) else ""
        alone = any(each.by_p_alone for each in asked)
        said.append(
            "The line below a metric has its question. The answer is yes if the whole interval "
            f"lies on that side{' (without an interval: if P is small enough)' if alone else ''}; "
            f"P belongs to it (one-sided, alpha {found.alpha:g}{holm})."
        )
    if any(each.says == "different" for each in asked):
        said.append(
            f"Of any difference P and interval are two-sided at alpha {found.alpha:g}, and decide "
            "nothing."
        )
    return " ".join(said)


def named(found: Analysis, metric: MetricResult, comparison: Comparison) -> str:
    """A metric, and of which treatment where there are several."""
    several = len(found.variants) > 2  # noqa: PLR2004  # control and one treatment
    return f"{of_what(metric)} of {comparison.treatment}" if several else of_what(metric)


def of_what(metric: MetricResult) -> str:
    """A metric, with its quantile."""
    return metric.name if metric.quantile is None else f"{metric.name} p{metric.quantile * 100:g}"


def effect_row(found: Analysis, metric: MetricResult, comparison: Comparison, wide: bool) -> Row:
    """A comparison: its numbers, and below them its question with the answer."""
    asked, label = question(comparison), named(found, metric, comparison)
    if isinstance(asked, NotEstimable):
        reason = Reason.of(asked.why)
        said = any(r.facts.get("reason") == reason.document() for r in found.verdict.reasons)
        blank = dict.fromkeys(("CONTROL", "TREATMENT", "EFFECT", "P"), "-")
        why = f"{metric.role}: {'the verdict says why' if said else reason.text}"
        return Row({"METRIC": label, **blank, "PROVEN": "not estimable"}, [why])
    result, unit = asked.result, metric.unit
    how = [*_other(metric, comparison)]
    how += [_how(found, metric, comparison, asked)] if wide else []
    return Row(
        {
            "METRIC": label,
            "CONTROL": figures.value(result.control, unit),
            "TREATMENT": figures.value(result.treatment, unit),
            "EFFECT": figures.difference(result.effect, unit),
            "P": figures.probability(asked.p, result.alpha).removeprefix("p ").removeprefix("= "),
            "PROVEN": _proven(metric, asked),
        },
        [f"{metric.role}, {_asked(metric, asked)}? {'; '.join(_answer(metric, asked))}", *how],
    )


def _other(metric: MetricResult, comparison: Comparison) -> Iterator[str]:
    """The same by whoever else counted."""
    if (other := comparison.other) is None:
        return
    who = "as clients saw it" if other.view == "clients" else "by the servers themselves"
    if isinstance(other.effect, NotEstimable):
        yield f"{who}: {Reason.of(other.effect.why).text}"
        return
    values = (figures.value(v, metric.unit) for v in (other.effect.control, other.effect.treatment))
    effect = figures.difference(other.effect.effect, metric.unit)
    yield f"{who}: {effect} ({' to '.join(values)})"


def _proven(metric: MetricResult, asked: Question) -> str:
    if asked.says == "different":
        return "-"
    return _asked(metric, asked) if asked.holds else "not yet"


def _asked(metric: MetricResult, asked: Question) -> str:
    over = metric.role == "guardrail" and asked.says == "harm"
    return "over margin" if over else _ASKED[asked.says]


def _answer(metric: MetricResult, asked: Question) -> Iterator[str]:
    """The interval and on which side of the boundary it is, and what else is to be said of it."""
    write = written(metric, asked)
    result = asked.result
    if asked.by_p_alone:
        against = f"treatment against control {figures.limit(asked.null.value, write)}"
        yield f"{'yes' if asked.holds else 'not yet'}, by P alone ({against})"
        yield "no interval of the lift, as the interval of the control includes 0"
    else:
        ends, limit = _ends(asked, write)
        yield f"{_interval(asked, ends, write)}, {_side(asked, limit)}"
    if asked.corrected:
        yield "by Holm"
    if not asked.null.relative and result.lift is not None:
        yield f"lift {figures.relative(result.lift)}"
    if asked.mixed:
        opposite = {"harm": "it was better", "better": "it was worse"}
        within = "it was within margin"
        yield f"at another look {within if metric.role == 'guardrail' else opposite[asked.says]}"
    if asked.holds and any(map(asked.by_test_alone, asked.decisive)):
        yield from (Reason.of(note).text for note in result.notes)


def written(metric: MetricResult, asked: Question) -> figures.Written:
    """How an effect is written: relative where the boundary is."""
    if asked.null.relative:
        return figures.relative
    return lambda number, more: figures.difference(number, metric.unit, more)


def _ends(asked: Question, write: figures.Written) -> tuple[list[str], str]:
    """Both ends and the boundary, with as many digits as tell them apart."""
    null = asked.null.value
    shown, limits = list[str](), [figures.limit(null, write)]
    for end in asked.ends:
        if end is None or not math.isfinite(end):
            shown.append("…")
        elif asked.by_test_alone(end):
            shown.append(figures.beside(end, null, write))
        else:
            text, limit = figures.apart(end, null, write)
            shown.append(text)
            limits.append(limit)
    return shown, max(limits, key=len)


def _interval(asked: Question, ends: list[str], write: figures.Written) -> str:
    between = figures.interval(ends)
    if not asked.null.relative:
        return between
    lift = "" if asked.effect is None else f" {write(asked.effect, 0)}"
    return f"lift{lift} ({between})"


def _side(asked: Question, limit: str) -> str:
    if asked.says == "different":
        return f"{'without' if asked.holds else 'with'} {limit} in it"
    return f"{'' if asked.holds else 'not '}all {_SIDES[asked.alternative]} {limit}"


def _how(found: Analysis, metric: MetricResult, comparison: Comparison, asked: Question) -> str:
    """By what it was answered; and the two-sided estimate, with the p that belongs to it."""
    parts = [f"by {metric.method} ({asked.result.guarantee})"]
    if asked.result.log_e is not None:
        parts.append(f"e-value {_e(asked.result.log_e)}")
    parts.append(f"{metric.polls:,} polls")
    effect = comparison.effect
    if asked.says != "different" and isinstance(effect, Estimate):
        ends = [figures.difference(end, metric.unit) for end in effect.interval]
        p = figures.probability(effect.p)
        parts.append(f"two-sided at {found.alpha:g}: {figures.interval(ends)} ({p})")
    return "; ".join(parts)


def _e(log_e: float) -> str:
    return f"e^{log_e:.0f}" if abs(log_e) > _HUGE_LOG_E else f"{math.exp(log_e):.3g}"
