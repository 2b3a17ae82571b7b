"""An analysis as one page: a file that needs no network and no script to be read."""

from collections.abc import Iterable

from abctl.analysis.history import History
from abctl.core.analysis import Analysis
from abctl.core.time import format_moment
from abctl.forms.document import document
from abctl.report.analysis import headline
from abctl.report.ledger import entry_document
from abctl.report.page import sections
from abctl.report.page.markup import Child, Markup, data, tag
from abctl.report.page.whole import whole

LOOKS = 48
"""Of each effect: as many as a picture can show."""
_SECTIONS = {
    "verdict": "Verdict",
    "metrics": "Metrics",
    "traffic": "Split and traffic",
    "evidence": "Evidence",
    "method": "Plan and method",
}


def page(
    found: Analysis, history: History, next_step: str | None = None, above: Iterable[Child] = ()
) -> str:
    """The whole file.

    Args:
        found: an analysis, with the path of each effect where it is to be drawn over time.
        history: what happened besides.
        next_step: in words; None where there is none.
        above: what stands before it, where it is one page of several.
    """
    when = f"evidence up to {format_moment(found.at, 'seconds')}, of {found.source}"
    links = (tag("li", tag("a", title, href=f"#{name}")) for name, title in _SECTIONS.items())
    return whole(
        f"{found.experiment}: {headline(found)}",
        tag("a", "Skip to the verdict", href="#verdict", class_="skip"),
        above,
        tag("header", tag("h1", found.experiment), tag("p", when, class_="soft")),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag(
            "main",
            sections.verdict(found, next_step),
            _section("metrics", sections.metrics(found)),
            _section("traffic", sections.traffic(found, history)),
            _section("evidence", sections.evidence(found, history)),
            _section("method", sections.method(found, history)),
        ),
        tag("footer", tag("p", "All values, unrounded, are in this file as JSON: ", _VALUES)),
        data("values", _values(found, history)),
    )


_VALUES = tag("code", "script#values")


def _section(name: str, children: Iterable[Child]) -> Markup:
    title = tag("h2", _SECTIONS[name], id=f"{name}-title")
    return tag("section", title, children, id=name, aria_labelledby=f"{name}-title")


def _values(found: Analysis, history: History) -> dict[str, object]:
    """The analysis as `abctl analyze -o json --path` prints it, and what happened besides."""
    return {
        "analysis": document(found),
        "ledger": [entry_document(each) for each in history.entries],
        "traffic": [
            {"start": each.start, "end": each.end, "requests": each.requests}
            for each in history.traffic
        ],
        "latencies": [
            {"variant": each.variant, "upTo": each.up_to, "count": each.count}
            for each in history.latencies
        ],
    }
