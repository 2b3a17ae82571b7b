"""The sections of the page, in the words of `abctl analyze`."""

import json
from collections.abc import Iterator, Sequence

from abctl import forms
from abctl.analysis.history import History
from abctl.core import figures
from abctl.core.analysis import Analysis, Comparison, MetricResult, VariantResult
from abctl.core.reasons import Reason
from abctl.forms.plan import digest_of
from abctl.report.analysis import (
    OF_READINGS,
    heading,
    headline,
    of_totals,
    reading_rows,
    remarks,
    split_said,
    total_rows,
)
from abctl.report.effects import effect_rows, legend, named, of_effects, of_table
from abctl.report.layout import Row
from abctl.report.ledger import entry_cells
from abctl.report.page.effects import effect_figure
from abctl.report.page.markup import Child, Markup, folded, scrolled, table, tag
from abctl.report.page.world import latency_figure, split_figure, traffic_figure
from abctl.report.segments import segment_rows, split_of_segments
from abctl.stats.estimate import Estimate, NotEstimable

_LONG = 12


def verdict(found: Analysis, next_step: str | None, name: str | None = "verdict") -> Markup:
    """What to do, why, and what is next; by its name it is linked to."""
    said = found.verdict
    several = len(said.treatments) > 1
    return tag(
        "section",
        tag("p", tag("strong", str(headline(found)))),
        _listed(each.text for each in said.reasons),
        [_of_treatment(found, each.treatment) for each in said.treatments] if several else [],
        tag("p", tag("b", "Next: "), next_step) if next_step else [],
        id=name,
        class_=f"verdict {said.kind}",
        aria_label="Verdict",
    )


def _of_treatment(found: Analysis, name: str | None) -> Markup:
    said = next(each for each in found.verdict.treatments if each.treatment == name)
    reasons = "; ".join(each.text for each in said.reasons)
    return tag(
        "p", tag("b", f"{said.kind} {name or ''}".strip()), f": {reasons}" if reasons else ""
    )


def metrics(found: Analysis, prefix: str = "") -> Iterator[Child]:
    """Each metric with its numbers, and a picture, whose name begins with the prefix."""
    if not (rows := effect_rows(found, wide=False)):
        yield tag("p", "No metric could be compared.")
        return
    yield _with_answers(of_effects(found), rows)
    yield tag("p", legend(found), class_="soft")
    yield from (_with_answers(title, each) for title, each in segment_rows(found))
    pairs = [(metric, each) for metric in found.metrics for each in metric.comparisons]
    drawn = [effect_figure(found, *pair, f"{prefix}effect-{i}") for i, pair in enumerate(pairs)]
    pictures = [each for each in drawn if each is not None]
    yield tag("div", pictures, class_="pictures")
    if missing := [_not_drawn(found, *p) for p, d in zip(pairs, drawn, strict=True) if d is None]:
        yield _listed(missing)


def _not_drawn(found: Analysis, metric: MetricResult, comparison: Comparison) -> str:
    why = comparison.effect
    said = Reason.of(why.why).text if isinstance(why, NotEstimable) else "nothing to draw"
    return f"{named(found, metric, comparison)}: no picture, as it is not estimable: {said}"


def _with_answers(title: str, rows: Sequence[Row]) -> Markup:
    """A table, with the question of each row and its answer below the row."""
    head = list(rows[0].cells)
    kinds = [None, *("n" for _ in head[1:-1]), None]
    body = list[Markup]()
    for row in rows:
        first, *others = [row.cells.get(name, "-") for name in head]
        cells = [tag("td", c, class_=k) for c, k in zip(others, kinds[1:], strict=True)]
        body.append(tag("tr", tag("th", first, scope="row"), cells))
        below = [tag("div", each) for each in row.below]
        body.append(tag("tr", tag("td", below, colspan=float(len(head))), class_="below"))
    columns = zip(head, kinds, strict=True)
    named_columns = (tag("th", name, scope="col", class_=kind) for name, kind in columns)
    whole = [tag("caption", title), tag("thead", tag("tr", named_columns)), tag("tbody", body)]
    return scrolled(title, tag("table", whole))


def traffic(found: Analysis, history: History) -> Iterator[Child]:
    """The split, who changed it and why, and what traffic it brought."""
    yield tag("p", split_said(found))
    if said := split_of_segments(found):
        yield tag("p", said)
    drawn = (split_figure(found), traffic_figure(found, history)) if not of_table(found) else ()
    yield tag("div", [each for each in drawn if each is not None], class_="pictures")
    if history.entries:
        cells = [list(entry_cells(each)) for each in history.entries]
        whole = table("The ledger", ["UTC", "WHO", "WHAT", "SPLIT", "WHY"], cells, words=range(5))
        yield whole if len(cells) <= _LONG else folded(f"The ledger: {len(cells)} entries", whole)


def evidence(found: Analysis, history: History) -> Iterator[Child]:
    """Totals of the variants, how well they were watched, and what a reader should know."""
    yield _rows(of_totals(found), total_rows(found))
    if (figure := latency_figure(found, history)) is not None:
        yield tag("div", figure, class_="pictures")
    watched = [each for each in found.variants if each.coverage is not None]
    if watched:
        yield _rows("How completely they were scraped", [_watched(each) for each in watched])
    if found.notes:
        yield tag("h3", "Notes")
        yield _listed(each.text for each in found.notes)


def _watched(variant: VariantResult) -> Row:
    seen = variant.coverage
    assert seen is not None
    return Row(
        {
            "VARIANT": variant.name,
            "TARGETS": f"{seen.targets:,}",
            "GONE": f"{seen.gone:,}",
            "RESTARTS": f"{seen.restarts:,}",
            "SCRAPED EVERY": figures.duration(seen.interval_seconds),
            "NOT IN GAPS": figures.value(seen.covered_ratio, "share"),
            "LAST SCRAPE": f"{figures.duration(seen.stale_seconds)} before",
            "LEFT OUT": figures.count(seen.left_out),
            "OF UNKNOWN AGE": figures.count(seen.unseen),
        }
    )


def method(found: Analysis, history: History) -> Iterator[Child]:
    """How it was found: plan, methods, assumptions, what was asked for, versions."""
    yield [tag("p", each) for each in heading(found)]
    if found.max_duration_seconds:
        least, most = found.min_duration_seconds, found.max_duration_seconds
        durations = f"at least {figures.duration(least)}, at most {figures.duration(most)}"
        yield tag("p", f"test: {found.test}; {durations}")
    rows = [_method(metric) for metric in found.metrics]
    if rows:
        words = {"ROLE", "BETTER", "METHOD", "MARGIN", "MDE"}
        yield _rows("Metrics, and how they are judged", rows, words=words)
    yield _assumptions(found)
    if told := list(dict.fromkeys(remarks(found))):
        yield folded("How each metric is measured", _listed(told))
    if rows := reading_rows(found):
        yield folded(OF_READINGS.rstrip(":"), _rows(OF_READINGS, rows, words={"TEST"}))
    if asked := list(_asked(found)):
        head = ["METRIC", "VARIANT", "PART", "SELECTOR OR SQL"]
        yield folded("What was asked for", table("Selectors and SQL", head, asked, words=range(4)))
    if history.plan:
        yield tag("p", "plan digest (SHA-256): ", tag("code", digest_of(history.plan)))
        plan = json.dumps(json.loads(history.plan), indent=1, ensure_ascii=False)
        yield folded("The locked plan", tag("pre", plan))
    yield tag("p", f"made by {forms.author()}")


def _method(metric: MetricResult) -> Row:
    guarantees = {
        each.effect.guarantee for each in metric.comparisons if isinstance(each.effect, Estimate)
    }
    known = f" ({', '.join(sorted(guarantees))})" if guarantees else ""
    return Row(
        {
            "METRIC": metric.name,
            "ROLE": metric.role,
            "BETTER": "higher" if metric.direction == "increase" else "lower",
            "MDE": figures.size(metric.mde, metric.unit) if metric.mde else "-",
            "MARGIN": figures.size(metric.margin, metric.unit) if metric.margin else "-",
            "METHOD": f"{metric.method}{known}",
            "POLLS": f"{metric.polls:,}",
        }
    )


def _assumptions(found: Analysis) -> Child:
    of = dict[str, list[str]]()
    for metric in found.metrics:
        for each in metric.comparisons[:1]:
            for text in each.effect.assumptions if isinstance(each.effect, Estimate) else ():
                of.setdefault(text, []).append(metric.name)
    said = _listed(f"{text} ({', '.join(names)})" for text, names in of.items())
    return folded("What must be true", said) if of else []


def _asked(found: Analysis) -> Iterator[list[str]]:
    for metric in found.metrics:
        for variant, parts in metric.selectors.items():
            for part, selector in parts.items():
                yield [metric.name, variant, part, selector]


def _rows(title: str, rows: Sequence[Row], *, words: set[str] | None = None) -> Markup:
    head = list(rows[0].cells)
    of_words = [head.index(name) for name in words or () if name in head]
    cells = [[row.cells.get(name, "-") for name in head] for row in rows]
    return table(title, head, cells, words=of_words)


def _listed(said: Iterator[str] | Sequence[str]) -> Markup:
    return tag("ul", (tag("li", each) for each in said))
