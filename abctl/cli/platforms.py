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
        from abctl.report import layout  # noqa: PLC0415

        able = ("USERS", "OVERRIDE", "COHORTS", "SHADOW", "STATUS", "GATEWAY", "IMAGES")
        shown = []
        for name, can in found.items():
            cells = {
                "PLATFORM": name,
                "GRAIN": format_share(TOTAL_BP // can.parts),
                "VARIANTS": str(can.max_variants or "any"),
                "USERS": _word(can.sticky),
                "OVERRIDE": _word(can.override),
                "COHORTS": _word(can.cohorts),
                "SHADOW": _word(can.shadow),
                "STATUS": can.reports,
            }
            if wide:
                cells |= {"GATEWAY": _word(can.entrance), "IMAGES": _word(can.images)}
            shown.append(layout.Row(cells))
        return layout.table(shown, left=able)

    emit("PlatformList", {"items": rows}, output, table)


def _word(can: bool) -> str:
    return "yes" if can else "-"
