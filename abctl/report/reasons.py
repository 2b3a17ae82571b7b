"""Why a verdict is what it is: every reason in words, with its code and its facts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from abctl.core.analysis import Analysis
from abctl.core.reasons import Reason, camel
from abctl.core.time import format_moment
from abctl.report.analysis import headline
from abctl.report.layout import Row, table
from abctl.report.prose import prose


def decision(found: Analysis) -> Text:
    """The verdict, its reasons and the notes, each with a table of its facts."""
    when = format_moment(found.at, "seconds")
    about = Text(prose(f"{found.experiment}, at {when}, by the evidence of {found.source}"))
    blocks = [Text("\n").join([headline(found), about])]
    blocks += map(_block, found.verdict.reasons)
    if found.notes:
        blocks += [Text("NOTES", "bold"), *map(_block, found.notes)]
    text = Text("\n\n").join(blocks)
    text.end = ""
    return text


def _block(reason: Reason) -> Text:
    return Text("\n").join([Text(prose(reason.text)), *_facts(reason)])


def _facts(reason: Reason) -> Iterator[Text]:
    rows = [
        Row({reason.code: camel(name), "FACT": _shown(value)})
        for name, value in reason.facts.items()
    ]
    yield table(rows, last="FACT") if rows else Text(reason.code)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_shown, value))
    return str(value)
