"""An analysis in Markdown, for pull requests and summaries of pipelines, in the screen's words."""

import re
from collections.abc import Iterable, Iterator, Sequence

from abctl.core.analysis import Analysis
from abctl.foreign import in_one_line
from abctl.report.analysis import heading, headline, notes_said, of_totals, total_rows
from abctl.report.effects import effect_rows, legend, of_effects
from abctl.report.layout import Row
from abctl.report.segments import segment_rows

# What would be read as markup, a mention of somebody, or a link to an issue.
_MARKUP = re.compile(r"[\\`*_\[\]<>|#~@&]")
_SIGNS = {"ship": "✅", "continue": "⏳", "stop": "🛑", "invalid": "⚠️"}


def markdown(found: Analysis, next_step: str | None = None) -> str:
    """The whole text, which ends with a newline.

    Args:
        found: an analysis.
        next_step: in words; None where there is none.
    """
    blocks = [
        f"### {_SIGNS[found.verdict.kind]} {_plain(str(headline(found)))}",
        _listed(each.text for each in found.verdict.reasons),
        f"**Next:** {_plain(next_step)}" if next_step else "",
        "\n".join(_effects(found)),
        "\n".join(_folded(found)),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _effects(found: Analysis) -> Iterator[str]:
    if not (rows := effect_rows(found, wide=False)):
        return
    yield _plain(of_effects(found))
    yield ""
    told = [Row({**row.cells, "QUESTION AND ANSWER": "; ".join(row.below)}) for row in rows]
    yield from _table(told, left={"PROVEN", "QUESTION AND ANSWER"})
    if said := legend(found):
        note = said.replace("The line below a metric has its question.", "Each has its question.")
        yield f"\n{_plain(note)}"


def _folded(found: Analysis) -> Iterator[str]:
    """What few want to see at once."""
    yield "<details><summary>Totals, split and notes</summary>\n"
    yield _listed(heading(found))
    yield f"\n{_plain(of_totals(found))}\n"
    yield from _table(total_rows(found))
    for title, rows in segment_rows(found):
        yield f"\n{_plain(title)}\n"
        yield from _table([_told(row) for row in rows], left={"DIFFERS"})
    yield f"\n{_listed(notes_said(found))}\n\n</details>"


def _told(row: Row) -> Row:
    return Row({**row.cells, "DIFFERS": "; ".join((row.cells["DIFFERS"], *row.below))})


def _table(rows: Sequence[Row], left: Iterable[str] = ()) -> Iterator[str]:
    head = list(rows[0].cells)
    of_words = {head[0], *left}
    yield _line(head)
    yield _line((":--" if name in of_words else "--:" for name in head), escape=False)
    for row in rows:
        yield _line(row.cells.get(name, "-") for name in head)


def _line(cells: Iterable[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(_plain(each) if escape else each for each in cells)} |"


def _listed(said: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(each)}" for each in said)


def _plain(text: str) -> str:
    """Text that stays text: as its characters, whatever reads it."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", in_one_line(text))
