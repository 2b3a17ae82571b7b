"""A part of somebody else's page, such as a cell of a notebook: its style is for itself alone."""

import zlib
from collections.abc import Sequence

from abctl.core.analysis import Analysis
from abctl.report.layout import Row
from abctl.report.page import sections
from abctl.report.page.markup import Child, Markup, table, tag
from abctl.report.page.style import style

_CLASS = "abctl"


def part(*children: Child) -> str:
    """What may stand in any page."""
    sheet = Markup(f"<style>{style(_CLASS)}</style>")
    return tag("div", sheet, children, class_=_CLASS).text


def analysis_part(found: Analysis, next_step: str | None = None) -> str:
    """The verdict, and each metric with its picture.

    Args:
        found: an analysis, with the path of each effect where it is to be drawn over time.
        next_step: in words; None where there is none.
    """
    # Several analyses may stand on one page, whose names are all different.
    prefix = f"a{zlib.crc32(repr(found).encode(errors='replace')):x}-"
    verdict = sections.verdict(found, next_step, name=None)
    return part(verdict, sections.metrics(found, prefix))


def tables_part(titles: Sequence[str], groups: Sequence[Sequence[Row]], said: Sequence[str]) -> str:
    """Tables, and sentences below them.

    Args:
        titles: of the tables.
        groups: the rows of each.
        said: the sentences.
    """
    tables = (
        table(title, list(rows[0].cells), [list(row.cells.values()) for row in rows])
        for title, rows in zip(titles, groups, strict=True)
    )
    return part(*tables, tag("ul", [tag("li", each) for each in said]))
