"""`abctl lint`: judges experiment files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._output import Output, OutputOption, emit, say
from abctl.foreign import in_lines

if TYPE_CHECKING:
    from abctl.spec.lint import Report


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lint)


def lint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Experiment files.")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail as well.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Check experiment files; the exit code is 2 if one of them is wrong.

    Of several, no two may want the same host of a gateway, the same Service, or the same object.

    abctl lint experiments/*.yaml
    """
    from abctl.spec.lint import lint_all as judge_all  # noqa: PLC0415 - only when it runs

    reports = judge_all(files)

    def table(_: bool) -> object:
        from rich.text import Text  # noqa: PLC0415

        return Text("\n".join(map(_line, reports)), no_wrap=True, overflow="ignore")

    items = [
        {
            "file": report.file,
            "valid": report.error is None,
            "error": report.error and report.error.message,
            "hint": (report.error and report.error.hint) or None,
            "warnings": list(report.warnings),
        }
        for report in reports
    ]
    emit("Lint", {"files": items}, output, table)
    for report in reports:
        _details(report)
    if any(report.error or (strict and report.warnings) for report in reports):
        raise typer.Exit(2)


def _line(report: "Report") -> str:
    if report.error is not None:
        return f"{report.file}: wrong"
    found = len(report.warnings)
    return f"{report.file}: ok" + (f", {found} warning{'s' * (found > 1)}" if found else "")


def _details(report: "Report") -> None:
    for warning in report.warnings:
        say(f"warning: {report.file}: {warning}")
    if report.error is not None:
        say(in_lines(f"error: {report.error.message}"))
        say(in_lines(f"hint: {report.error.hint}"))
