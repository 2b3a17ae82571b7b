"""An analysis as a screen: who, what, and what follows."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rich.text import Text

from abctl.cli._plot import intervals, room
from abctl.core import figures
from abctl.core.analysis import Analysis, Claim, Comparison, MetricResult, Reading
from abctl.core.moment import format_moment
from abctl.core.split import format_share
from abctl.core.verdict import mismatch
from abctl.stats.estimate import Estimate, NotEstimable
from abctl.stats.srm import SrmResult

_COLORS = {"ship": "green", "continue": "yellow", "stop": "red", "invalid": "magenta"}
_LEFT = {"VARIANT", "METRIC", "ROLE", "PROVEN", "METHOD", "EFFECT", "LIFT", "TEST", "NOTE"}
_NONE: Mapping[str, str] = {}
_HUGE_LOG_E = 20.0
_HAIR = 1e-5

Row = dict[str, str]


def screen(found: Analysis, wide: bool) -> Text:
    """Everything for a person; lines are never wrapped, columns never cut."""
    text = Text(no_wrap=True, overflow="ignore", end="")
    blocks = [
        list(_heading(found)),
        _columns([dict(row) for row in _variants(found)]),
        _columns([row for metric in found.metrics for row in _metric(found, metric, wide)]),
        list(dict.fromkeys(_unknown(found))),
        list(intervals(found, room())),
        _columns(list(_readings(found))) if wide else [],
        list(_beliefs(found)) if wide else [],
        list(dict.fromkeys(_remarks(found))) if wide else [],
        [_srm(found), *(f"note: {note}" for note in found.notes)],
    ]
    for block in filter(None, blocks):
        text.append("\n".join(block) + "\n\n")
    verdict = found.verdict
    name = f"{verdict.kind.upper()} {verdict.treatment or ''}".rstrip()
    text.append(name, style=f"bold {_COLORS[verdict.kind]}")
    for reason in verdict.reasons:
        text.append(f"\n  {reason}")
    return text


def hint(found: Analysis, file: str | None, unable: Mapping[str, str] = _NONE) -> str:
    """The next command.

    Args:
        found: what was said.
        file: of the experiment; None for evidence that was saved, to which nothing is added.
        unable: variants that cannot answer now, and why.
    """
    verdict, experiment = found.verdict, file or "EXPERIMENT"
    if verdict.kind == "continue" and file is None:
        when = format_moment(found.at, "seconds")
        return f"this is all that was saved at {when}; what came later, only its source knows"
    if verdict.kind == "ship":
        return f"abctl promote {experiment} {verdict.treatment} --why 'the verdict is ship'"
    if verdict.kind == "stop":
        out = [f"{each.treatment}=0%" for each in verdict.treatments if each.kind == "stop"]
        others = len(out) < len(verdict.treatments)
        ends = f"shift {experiment} {' '.join(out)}" if others else f"rollback {experiment}"
        return f"abctl {ends} --why 'the verdict is stop'"
    if verdict.kind == "invalid" and unable:
        dead = "; ".join(f"{name} cannot answer: {why}" for name, why in unable.items())
        return f"{dead}; abctl status {experiment} -o wide"
    if verdict.kind == "invalid":
        return f"find out why before anything else: abctl status {experiment} -o wide"
    return f"look again later: abctl analyze {experiment}"


def _heading(found: Analysis) -> Iterator[str]:
    began = ""
    if found.started is not None:
        when = format_moment(found.started, "seconds")
        began = f", for {figures.duration(found.elapsed_seconds)} since {when}"
    looks = "any number of looks" if found.test == "sequential" else "one look"
    yield f"{found.experiment}: {looks} at alpha {found.alpha:g}, by {found.unit}{began}"
    splits = [
        "/".join(format_share(share) for share in split.shares_bp)
        for split, _ in groupby(found.epochs, key=lambda epoch: epoch.split)
    ]
    yield f"splits: {', then '.join(splits) or 'none has settled yet'}; evidence: {found.source}"


def _variants(found: Analysis) -> Iterator[Row]:
    shown = [m for m in found.metrics if m.of not in ("errors", "latency")]
    for variant in found.variants:
        yield {
            "VARIANT": variant.name,
            "REQUESTS": figures.count(variant.requests),
            **{m.name.upper(): figures.value(variant.values[m.name], m.unit) for m in shown},
            "SERVER ERRORS": figures.value(variant.error_ratio, "share"),
            "LATENCY P50": figures.value(variant.latency_p50_seconds, "seconds"),
            "P95": figures.value(variant.latency_p95_seconds, "seconds"),
        }


def _metric(found: Analysis, metric: MetricResult, wide: bool) -> Iterator[Row]:
    for comparison in metric.comparisons:
        result = comparison.effect
        row = {"METRIC": _name(metric), "ROLE": metric.role}
        if len(found.variants) > 2:  # noqa: PLR2004  # control and one treatment
            row["VARIANT"] = comparison.treatment
        if isinstance(result, NotEstimable):
            blank = dict.fromkeys(("CONTROL", "TREATMENT", "EFFECT", "LIFT", "P"), "-")
            row |= blank | {"PROVEN": "not estimable"}
            extra = {"METHOD": metric.method, "GUARANTEE": "-", "E": "-"}
        else:
            row |= {
                "CONTROL": figures.value(result.control, metric.unit),
                "TREATMENT": figures.value(result.treatment, metric.unit),
                "EFFECT": _effect(result, metric),
                "LIFT": _lift(result),
                "P": _p(_deciding(comparison), result),
                "PROVEN": _proven(metric, comparison),
            }
            extra = {"METHOD": metric.method, "GUARANTEE": result.guarantee, "E": _e(result)}
        yield row | (extra | {"POLLS": str(metric.polls)} if wide else {})


def _readings(found: Analysis) -> Iterator[Row]:
    for metric in found.metrics:
        for comparison in metric.comparisons:
            for reading in comparison.readings:
                yield {"METRIC": _name(metric), **_reading(metric, reading)}


def _reading(metric: MetricResult, reading: Reading) -> Row:
    result = reading.result
    row = {"TEST": result.method}
    if isinstance(result, NotEstimable):
        return row | {"EFFECT": "-", "P": "-", "NOTE": f"not estimable: {result.reason}"}
    notes = "; ".join((*result.notes, *filter(None, [reading.caveat])))
    return row | {"EFFECT": _effect(result, metric), "P": f"{result.p:.2g}", "NOTE": notes}


def _unknown(found: Analysis) -> Iterator[str]:
    """Why effects are not known, as far as the verdict does not say so."""
    said = "\n".join(found.verdict.reasons)
    for metric in found.metrics:
        for comparison in metric.comparisons:
            effect = comparison.effect
            if isinstance(effect, NotEstimable) and effect.reason not in said:
                yield f"{_name(metric)}: not estimable: {effect.reason}"


def _remarks(found: Analysis) -> Iterator[str]:
    for metric in found.metrics:
        yield from (f"{_name(metric)}: {each}" for each in metric.remarks)
        for comparison in metric.comparisons:
            if isinstance(comparison.effect, Estimate):
                yield from (f"{_name(metric)}: {each}" for each in comparison.effect.notes)


def _beliefs(found: Analysis) -> Iterator[str]:
    rows = [
        {
            "METRIC": _name(metric),
            "VARIANT": belief.variant,
            "P(BETTER)": "-" if belief.better is None else f"{belief.better:.2%}",
            "P(BEST)": f"{belief.best:.2%}",
            "EXPECTED LOSS": figures.difference(belief.loss, metric.unit).removeprefix("+"),
        }
        for metric in found.metrics
        for belief in metric.beliefs
    ]
    yield from _columns(rows)
    yield from {f"Bayesian, {b.caveat}": None for m in found.metrics for b in m.beliefs}


def _srm(found: Analysis) -> str:
    if found.srm is None:
        return "split: not checked yet"
    if isinstance(found.srm, SrmResult):
        names = [variant.name for variant in found.variants]
        said = mismatch(found.srm, names)
        verb = "NOT as ordered" if found.srm.mismatch else "as ordered"
        return f"split: {verb}, {said}"
    return f"split: not checked, {found.srm.reason}"


def _name(metric: MetricResult) -> str:
    return metric.name if metric.quantile is None else f"{metric.name} p{metric.quantile * 100:g}"


def _effect(result: Estimate, metric: MetricResult) -> str:
    ends = [figures.difference(_seen(end, result.effect), metric.unit) for end in result.interval]
    return f"{figures.difference(result.effect, metric.unit)} ({figures.interval(ends)})"


def _lift(result: Estimate) -> str:
    if result.lift is None:
        return "-"
    ends = [figures.relative(_seen(end, result.lift)) for end in result.lift_interval or ()]
    return figures.relative(result.lift) + (f" ({figures.interval(ends)})" if ends else "")


def _seen(end: float, effect: float) -> float:
    """An end that a test has set lies a hair beside 0: nobody needs to read the hair."""
    return 0.0 if abs(end) < _HAIR * abs(effect) else end


def _deciding(comparison: Comparison) -> Claim | None:
    """The claim whose p is shown: what is proven, or what shipping needs."""
    proven = [claim for claim in comparison.claims if claim.proven]
    return (*proven, *comparison.claims, None)[0]


def _p(claim: Claim | None, otherwise: Estimate) -> str:
    result = claim.result if claim and isinstance(claim.result, Estimate) else otherwise
    p = claim.p_adjusted if claim and claim.p_adjusted is not None else result.p
    return figures.probability(p).removeprefix("p ").removeprefix("= ")


def _e(result: Estimate) -> str:
    if result.log_e is None:
        return "-"
    if abs(result.log_e) > _HUGE_LOG_E:
        return f"e^{result.log_e:.0f}"
    return f"{2.718281828459045**result.log_e:.3g}"


def _proven(metric: MetricResult, comparison: Comparison) -> str:
    words = {"better": "better", "harm": "worse", "non-inferior": "within margin"}
    if metric.role == "guardrail":
        words["harm"] = "worse than margin"
        if comparison.proven("harm"):
            words["non-inferior"] = "at another look within"
    said = [words[claim.says] for claim in comparison.claims if claim.proven]
    if metric.role == "secondary":
        return "-"
    margin = f" of {figures.size(comparison.claims[0].null, metric.unit)}"
    return (", ".join(said) or "not yet") + (margin if metric.role == "guardrail" and said else "")


def _columns(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    names = list(rows[0])
    table = [names, *([row.get(name, "-") for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(names))]
    return [
        "  ".join(
            cell.ljust(width) if name in _LEFT else cell.rjust(width)
            for cell, width, name in zip(line, widths, names, strict=True)
        ).rstrip()
        for line in table
    ]
