"""An analysis as a screen: who, what, and what follows."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby

from rich.text import Text

from abctl.core import figures
from abctl.core.analysis import Analysis, MetricResult, Reading, VariantResult
from abctl.core.reasons import Reason
from abctl.core.split import format_share
from abctl.core.time import format_moment
from abctl.core.verdict import deviation
from abctl.files import as_argument
from abctl.report.effects import compared, named, of_pairs, of_table, of_units, of_what
from abctl.report.layout import Row, table
from abctl.report.over_time import strips
from abctl.report.plot import intervals, room
from abctl.report.prose import prose
from abctl.report.segments import by_segments, split_of_segments
from abctl.stats.estimate import NotEstimable
from abctl.stats.srm import SrmResult

_COLORS = {"ship": "green", "continue": "yellow", "stop": "red", "invalid": "magenta"}
_NONE: Mapping[str, str] = {}
_PLAN = "abctl plan --baseline 5% --mde 2pp --traffic 10000/day"
OF_READINGS = "other tests, which decide nothing; two-sided, of any difference:"
_HINTS_OF_TABLES = {
    "ship": "the next one with a split and a ledger that can be checked: abctl init iris.yaml",
    "stop": f"how many units it takes: {_PLAN}",
    "continue": f"how many units it takes: {_PLAN}",
    "invalid": "find out why first: are the split, and the columns of variant and unit, right?",
}


def screen(found: Analysis, wide: bool, *, weightiest_first: bool = False) -> Text:
    """Everything for a person, in lines that fit.

    Args:
        found: what to show.
        wide: also how it was found.
        weightiest_first: where what comes last may not be seen; else the verdict ends it.
    """
    about, totals, effects = _lines(heading(found)), _totals(found), compared(found, wide)
    plot = [Text("\n").join(map(Text, intervals(found, room())))]
    segments = by_segments(found)
    moved = [Text("\n").join(map(Text, strips(found, room())))]
    details = [moved, _readings(found), _beliefs(found), _lines(remarks(found))] if wide else []
    notes = _lines(notes_said(found))
    name = [headline(found)]
    reasons = [Text(prose(each.text, 2, 4)) for each in found.verdict.reasons]
    if weightiest_first:
        blocks = [name, effects, reasons, totals, about, notes, plot, segments, *details]
    else:
        blocks = [about, totals, effects, plot, segments, *details, notes, [*name, *reasons]]
    shown = [Text("\n").join(lines) for block in blocks if any(lines := list(block))]
    text = Text("\n\n").join(shown)
    text.end = ""
    return text


def news(before: Analysis, now: Analysis) -> bool:
    """Whether more is to be told than that the numbers have moved on."""
    return _told(before) != _told(now)


def _told(found: Analysis) -> tuple[object, ...]:
    comparisons = [comparison for metric in found.metrics for comparison in metric.comparisons]
    return (
        found.verdict.kind,
        found.verdict.treatment,
        [(each.kind, each.treatment) for each in found.verdict.treatments],
        [epoch.split for epoch in found.epochs],
        [[claim.proven for claim in each.claims] for each in comparisons],
        [isinstance(each.effect, NotEstimable) for each in comparisons],
    )


def _lines(said: Iterable[str]) -> list[Text]:
    return [Text(prose(each)) for each in dict.fromkeys(said)]


def headline(found: Analysis) -> Text:
    """The verdict, and of which treatment."""
    verdict = found.verdict
    name = f"{verdict.kind.upper()} {verdict.treatment or ''}".rstrip()
    return Text(name, f"bold {_COLORS[verdict.kind]}")


def hint(
    found: Analysis,
    file: str | None,
    unable: Mapping[str, str] = _NONE,
    *,
    simulated: bool = False,
) -> str:
    """The next command.

    Args:
        found: what was said.
        file: of the experiment; None for evidence that was saved, to which nothing is added.
        unable: variants that cannot answer now, and why.
        simulated: whether all traffic is simulated, so that none comes by itself.
    """
    verdict, experiment = found.verdict, as_argument(file or "EXPERIMENT")
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
    return _later(found, experiment, simulated=simulated)


def hint_of_table(found: Analysis) -> str | None:
    """What to do after tables were judged that no ledger stands by; None where one does."""
    alone = of_table(found) or any(note.code == "noLedger" for note in found.notes)
    return _HINTS_OF_TABLES[found.verdict.kind] if alone else None


def _later(found: Analysis, experiment: str, *, simulated: bool) -> str:
    """What to do to get more evidence."""
    when = ""
    if found.counts_from is not None and not _settled(found):
        when = f"requests count from {format_moment(found.counts_from, 'seconds')} on; "
    if simulated:
        return f"{when}no traffic comes by itself here: abctl simulate {experiment}, then analyze"
    return f"{when}look again later: abctl analyze {experiment}"


def heading(found: Analysis) -> Iterator[str]:
    """What it is of: a paragraph each."""
    looks = "one look" if found.test == "fixed" else "any number of looks"
    if of_table(found):
        units = "row" if found.unit == "request" else "unit"
        units = "pair" if of_pairs(found) else units
        yield f"{found.source}: by {units}, {looks} at alpha {found.alpha:g}"
        return
    yield f"{found.experiment}: by {found.unit}, {looks} at alpha {found.alpha:g}"
    began = ""
    if found.started is not None:
        when = format_moment(found.started, "seconds")
        began = f"since {when} ({figures.duration(found.elapsed_seconds)}), "
    yield f"{began}evidence: {found.source}"
    splits = [
        "/".join(format_share(share) for share in split.shares_bp)
        for split, _ in groupby(found.epochs, key=lambda epoch: epoch.split)
    ]
    yield f"splits: {', then '.join(splits) or _unsettled(found)}"
    if splits and not _settled(found) and found.current_split is not None:
        yield f"now: {_unsettled(found)}"


def _settled(found: Analysis) -> bool:
    return found.counts_from is not None and found.counts_from <= found.at


def _unsettled(found: Analysis) -> str:
    """The split that is in effect, for which no request counts yet."""
    if found.current_split is None:
        return "none is in effect yet"
    shares = "/".join(format_share(share) for share in found.current_split.shares_bp)
    if found.counts_from is None:
        return f"{shares}, and a change of it is not finished: until then no request counts"
    when = format_moment(found.counts_from, "seconds")
    return f"{shares}, for which requests count from {when} on (design.settle)"


def _totals(found: Analysis) -> Iterator[Text]:
    """What every variant got and did, whenever it was."""
    yield Text(prose(of_totals(found)))
    yield table(total_rows(found))


def of_totals(found: Analysis) -> str:
    """What stands above the totals."""
    view = found.remarks.get("latency", "").partition(",")[0].partition(";")[0]
    if of_table(found):
        return "in total:"
    return f"in total, over all periods{f' (latency: {view})' if view else ''}:"


def total_rows(found: Analysis) -> list[Row]:
    """A row for each variant."""
    return [Row(_total(found, variant)) for variant in found.variants]


def _total(found: Analysis, variant: VariantResult) -> dict[str, str]:
    if of_table(found) or of_units(found):
        return _total_of_table(found, variant)
    seconds = partial(figures.value, unit="seconds")
    answers = variant.answers
    errors = answers.error_ratio if answers else variant.error_ratio
    refused = {}
    if any(each.answers and each.answers.refused for each in found.variants):
        refused["4XX"] = figures.value(answers.refused_ratio if answers else None, "share")
    cells = {
        "VARIANT": variant.name,
        "REQUESTS": figures.count(variant.requests),
        "ERRORS": figures.value(errors, "share"),
        **refused,
        "LATENCY MEAN": seconds(variant.latency_mean_seconds),
        "P50": seconds(variant.latency_p50_seconds),
        "P95": seconds(variant.latency_p95_seconds),
    }
    for metric in found.metrics:
        if metric.of not in ("errors", "latency"):
            name = f"{metric.name} ({metric.of})" if metric.name in cells else metric.name
            cells[name] = figures.value(variant.values[metric.name], metric.unit)
    return cells


def _total_of_table(found: Analysis, variant: VariantResult) -> dict[str, str]:
    """Rows, units, and what is no quantile: that stands below."""
    rows = "EXPOSURES" if of_units(found) else "ROWS"
    cells = {"VARIANT": variant.name, rows: figures.count(variant.requests)}
    if found.unit != "request" and found.srm is not None:
        counts = found.srm.observed if isinstance(found.srm, SrmResult) else found.srm.n
        if len(counts) == len(found.variants):
            at = [each.name for each in found.variants].index(variant.name)
            cells["UNITS"] = figures.count(counts[at])
    for metric in found.metrics:
        if metric.kind != "quantile":
            cells[metric.name] = figures.value(variant.values[metric.name], metric.unit)
    return cells


def _readings(found: Analysis) -> Iterator[Text]:
    """Classical tests: each with its own interval and p, two-sided."""
    if rows := reading_rows(found):
        yield Text(prose(OF_READINGS))
        yield table(rows, left={"TEST"})


def reading_rows(found: Analysis) -> list[Row]:
    """A row for each test that decides nothing."""
    return [
        _reading(metric, named(found, metric, comparison), reading)
        for metric in found.metrics
        for comparison in metric.comparisons
        for reading in comparison.readings
    ]


def _reading(metric: MetricResult, name: str, reading: Reading) -> Row:
    result = reading.result
    row = {"METRIC": name, "TEST": result.method}
    if isinstance(result, NotEstimable):
        return Row(
            row | {"EFFECT": "-", "P": "-"}, [f"not estimable: {Reason.of(result.why).text}"]
        )
    ends = [figures.difference(end, metric.unit) for end in result.interval]
    effect = f"{figures.difference(result.effect, metric.unit)} ({figures.interval(ends)})"
    said = (*map(Reason.of, result.notes), *reading.caveats)
    notes = "; ".join(each.text for each in said)
    return Row(row | {"EFFECT": effect, "P": f"{result.p:.2g}"}, [notes] if notes else [])


def remarks(found: Analysis) -> Iterator[str]:
    """How each metric is measured, and what is to be known of its result."""
    for metric in found.metrics:
        yield from (f"{of_what(metric)}: {each.text}" for each in metric.remarks)
        for comparison in metric.comparisons:
            if not isinstance(comparison.effect, NotEstimable):
                notes = map(Reason.of, comparison.effect.notes)
                yield from (f"{of_what(metric)}: {each.text}" for each in notes)


def _beliefs(found: Analysis) -> Iterator[Text]:
    rows = [
        Row(
            {
                "METRIC": f"{of_what(metric)} of {belief.variant}",
                "P(BETTER)": "-" if belief.better is None else f"{belief.better:.2%}",
                "P(BEST)": f"{belief.best:.2%}",
                "EXPECTED LOSS": figures.difference(belief.loss, metric.unit).removeprefix("+"),
            }
        )
        for metric in found.metrics
        for belief in metric.beliefs
    ]
    if rows:
        yield table(rows)
        yield from _lines(f"Bayesian, {b.caveat}" for m in found.metrics for b in m.beliefs)


def notes_said(found: Analysis) -> Iterator[str]:
    """Whether the traffic follows the split, and what a reader should know besides."""
    yield split_said(found)
    if said := split_of_segments(found):
        yield said
    yield from (f"note: {note.text}" for note in found.notes)


def split_said(found: Analysis) -> str:
    """Whether the traffic follows the split."""
    if found.srm is None:
        return "split: not checked yet"
    if isinstance(found.srm, SrmResult):
        verb = "NOT as ordered" if found.srm.mismatch else "as ordered"
        names = [variant.name for variant in found.variants]
        units = "rows" if found.unit == "request" else "units"
        counted = units if of_table(found) or of_units(found) else "requests"
        return f"split: {verb}: {deviation(found.srm, names, counted)}"
    return f"split: not checked, {Reason.of(found.srm.why).text}"
