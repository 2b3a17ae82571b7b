"""`abctl assign`: who gets which variant, and why."""

import codecs
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._session import WorldOptions
from abctl.cli._stream import Row, stream
from abctl.core.split import TOTAL_BP, format_share
from abctl.core.time import format_moment
from abctl.errors import UsageError

if TYPE_CHECKING:
    from abctl.core.assignment import Assigned
    from abctl.session.assign import Census

_LONGEST_LINE = 2**16  # no proxy takes a header as long as that
_LINES = "an id is a header of a request: one a line"
_ENCODING = "in which bytes do clients send it? --encoding latin-1 (browsers send UTF-8)"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, assign)


def assign(
    experiment: Annotated[Path, typer.Argument(help="The experiment file.", show_default=False)],
    units: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Ids; - reads them from stdin, a line each."),
    ],
    *,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="A header of the request: 'x-cohort: beta'."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="What if the split were this: 50/50, or treatment=30%.")
    ] = None,
    count: Annotated[
        bool, typer.Option("--count", help="Only count, and test the counts against the split.")
    ] = False,
    encoding: Annotated[
        str, typer.Option(help="How clients write an id into a header: utf-8, latin-1.")
    ] = "utf-8",
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Say which variant an id gets, and why.

    The arithmetic is that of the data plane, with the split of the ledger where the experiment
    runs, else with the one that the file starts with (or --split); it says which.

    abctl assign iris.yaml alice bob

    abctl assign iris.yaml alice --split 50/50

    abctl assign iris.yaml Zoë --encoding latin-1

    zcat ids.gz | abctl assign iris.yaml - --count
    """
    from abctl.session import assign as service  # noqa: PLC0415
    from abctl.session.open import Where  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    loaded = load(experiment)
    if split is None:
        by = service.basis_of(loaded, experiment, Where(**vars(world)), say)
    else:
        wanted = loaded.split.parse_change((split,))
        by = service.Basis(wanted, "option", None, f"by --split {split}")
    known = _known(encoding)
    ids = _ids(units, known)
    assigned = service.assign(loaded, by.split, ids, dict(map(_pair, header or ())), known)
    about = {
        "splitOf": by.of,
        "since": None if by.since is None else format_moment(by.since),
        "split": by.split.ratios,
        "why": by.words,
    }
    if count:
        _emit(service.count(by.split, assigned), output, about)
    else:
        stream(
            "Assignments",
            (_row(unit, who) for unit, who in assigned),
            output,
            ("id", "variant", "point", "why"),
            about,
        )
    if output in (Output.table, Output.wide):
        say(by.words)


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise UsageError(f"--encoding {encoding}: unknown", "utf-8, or latin-1") from None


def _ids(units: Iterable[str], encoding: str) -> Iterator[str]:
    for unit in units:
        if unit == "-":
            lines = iter(lambda: sys.stdin.buffer.readline(_LONGEST_LINE + 1), b"")
            for number, line in enumerate(lines, 1):
                place = f"stdin, line {number}"
                if len(line) > _LONGEST_LINE:
                    raise UsageError(f"{place}: over {_LONGEST_LINE:,} bytes", _LINES)
                try:
                    yield line.decode(encoding).rstrip("\r\n")
                except UnicodeDecodeError:
                    message = f"{place}: {line[:60]!r} is not {encoding.upper()}"
                    raise UsageError(message, _ENCODING) from None
        elif unit.isascii() or unit.encode(errors="replace").decode() == unit:
            yield unit
        else:
            raise UsageError(f"id {unit!r} is not UTF-8", _ENCODING)


def _pair(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip()):
        raise UsageError(f"header {text!r}, must be name:value", "-H 'x-cohort: beta'")
    return name.strip(), value.strip()


def _row(unit: str, who: "Assigned") -> Row:
    return {
        "id": unit,
        "variant": who.variant,
        "point": who.point,
        "bucket": who.bucket,
        "randomized": who.randomized,
        "why": who.why,
    }


def _emit(census: "Census", output: Output, about: Row) -> None:
    total = sum(census.units.values())
    rows = [
        {
            "variant": name,
            "split": census.split[name] / TOTAL_BP,
            "units": units,
            "share": units / total if total else None,
            "outside": census.outside[name],
        }
        for name, units in census.units.items()
    ]

    def table(_: bool) -> object:
        from rich.console import Group  # noqa: PLC0415

        from abctl.report import layout  # noqa: PLC0415

        shown = [
            layout.Row(
                {
                    "VARIANT": name,
                    "SPLIT": format_share(census.split[name]),
                    "UNITS": f"{units:,}",
                    "SHARE": f"{units / total:.2%}" if total else "-",
                    "OUTSIDE": f"{census.outside[name]:,}",
                }
            )
            for name, units in census.units.items()
        ]
        p = "too few to test the split" if census.p is None else f"chi-squared p = {census.p:.3g}"
        return Group(layout.table(shown), p)

    emit("AssignmentCount", {**about, "variants": rows, "p": census.p}, output, table)
