"""`abctl platforms`: what each platform can do."""

import typer

from abctl.cli._output import Output, OutputOption, emit
from abctl.core.split import TOTAL_BP, format_share


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(platforms)


def platforms(*, output: OutputOption = Output.table) -> None:
    """Say what each platform can do.

    GRAIN is the smallest step of a share. USERS: a user keeps their variant. OVERRIDE: a header
    may force one. COHORTS: a header's value may have its own. SHADOW: it can copy requests to a
    server whose answers nobody sees. STATUS: what it reports of itself.
    With -o wide, GATEWAY: requests come in by a gateway that the experiment names. IMAGES: it runs
    a model's own image; otherwise it loads models that are stored.
    """
    from abctl.platforms import capabilities  # noqa: PLC0415 - all of them are imported for this

    found = capabilities()
    rows = [
        {
            "name": name,
            "grain": 1 / can.parts,
            "maxVariants": can.max_variants,
            "sticky": can.sticky,
            "override": can.override,
            "cohorts": can.cohorts,
            "shadow": can.shadow,
            "images": can.images,
            "entrance": can.entrance,
            "reports": can.reports,
        }
        for name, can in found.items()
    ]

    def table(wide: bool) -> object:
        from rich.table import Table  # noqa: PLC0415

        shown = Table("PLATFORM", box=None, pad_edge=False, padding=(0, 1))
        for column in ("GRAIN", "VARIANTS"):
            shown.add_column(column, justify="right")
        for column in ("USERS", "OVERRIDE", "COHORTS", "SHADOW", "STATUS"):
            shown.add_column(column)
        if wide:
            shown.add_column("GATEWAY")
            shown.add_column("IMAGES")
        for name, can in found.items():
            able = (can.sticky, can.override, can.cohorts, can.shadow)
            shown.add_row(
                name,
                format_share(TOTAL_BP // can.parts),
                str(can.max_variants or "any"),
                *map(_word, able),
                can.reports,
                *map(_word, (can.entrance, can.images) if wide else ()),
            )
        return shown

    emit("PlatformList", {"items": rows}, output, table)


def _word(can: bool) -> str:
    return "yes" if can else "-"
