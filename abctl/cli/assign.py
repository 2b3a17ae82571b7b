"""`abctl assign`: who gets which variant, and why."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._stream import Row, stream
from abctl.core.split import TOTAL_BP, format_share
from abctl.errors import UsageError

if TYPE_CHECKING:
    from abctl.core.assignment import Assigned
    from abctl.services.assign import Census

_ENCODING = "headers are compared byte by byte, so ids are UTF-8: iconv -t UTF-8 makes it so"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(assign)


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
    output: OutputOption = Output.table,
) -> None:
    """Say which variant an id gets, and why.

    The arithmetic is that of the data plane, with the split of the file (or --split).

    abctl assign iris.yaml alice bob

    zcat ids.gz | abctl assign iris.yaml - --count
    """
    from abctl.services import assign as service  # noqa: PLC0415
    from abctl.services.load import load  # noqa: PLC0415

    loaded = load(experiment)
    by = loaded.split if split is None else loaded.split.parse_change((split,))
    assigned = service.assign(loaded, by, _ids(units), dict(map(_pair, header or ())))
    if count:
        _emit(service.count(by, assigned), output)
    else:
        stream(
            "Assignments",
            (_row(unit, who) for unit, who in assigned),
            output,
            ("id", "variant", "point", "why"),
        )


def _ids(units: Iterable[str]) -> Iterator[str]:
    for unit in units:
        if unit == "-":
            for number, line in enumerate(sys.stdin.buffer, 1):
                try:
                    yield line.decode().rstrip("\r\n")
                except UnicodeDecodeError:
                    raise UsageError(
                        f"stdin, line {number}: {line!r} is not UTF-8", _ENCODING
                    ) from None
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


def _emit(census: "Census", output: Output) -> None:
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
        from rich.table import Table  # noqa: PLC0415

        shown = Table("VARIANT", box=None, pad_edge=False)
        for column in ("SPLIT", "UNITS", "SHARE", "OUTSIDE"):
            shown.add_column(column, justify="right")
        for name, units in census.units.items():
            share = f"{units / total:.2%}" if total else "-"
            planned, outside = format_share(census.split[name]), str(census.outside[name])
            shown.add_row(name, planned, str(units), share, outside)
        p = "too few to test the split" if census.p is None else f"chi-squared p = {census.p:.3g}"
        return Group(shown, p)

    emit("AssignmentCount", {"variants": rows, "p": census.p}, output, table)
