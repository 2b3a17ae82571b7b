"""An analysis as one page: a file that needs no network and no script to be read."""

from collections.abc import Iterable

from abctl import forms
from abctl.analysis.history import History
from abctl.core.analysis import Analysis
from abctl.core.time import format_moment
from abctl.forms.document import document
from abctl.report.analysis import headline
from abctl.report.ledger import entry_document
from abctl.report.page import sections
from abctl.report.page.markup import Child, Markup, data, tag
from abctl.report.page.style import style

# What a report begins with: such a file may be written anew.
MARK = "<!doctype html>\n<!-- a report of abctl -->\n"
LOOKS = 48
"""Of each effect: as many as a picture can show."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SECTIONS = {
    "verdict": "Verdict",
    "metrics": "Metrics",
    "traffic": "Split and traffic",
    "evidence": "Evidence",
    "method": "Plan and method",
}


def page(found: Analysis, history: History, next_step: str | None = None) -> str:
    """The whole file.

    Args:
        found: an analysis, with the path of each effect where it is to be drawn over time.
        history: what happened besides.
        next_step: in words; None where there is none.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=forms.author()),
        tag("title", f"{found.experiment}: {headline(found)}"),
        Markup(f"<style>{style()}</style>"),
    )
    when = f"evidence up to {format_moment(found.at, 'seconds')}, of {found.source}"
    links = (tag("li", tag("a", title, href=f"#{name}")) for name, title in _SECTIONS.items())
    body = tag(
        "body",
        tag("a", "Skip to the verdict", href="#verdict", class_="skip"),
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
    return f"{MARK}{tag('html', head, body, lang='en').text}\n"


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
