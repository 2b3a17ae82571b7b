"""Nothing in the world is changed unless somebody said yes."""

import sys

import typer

from abctl.cli._output import say
from abctl.errors import UsageError


def require_consent(question: str, *, yes: bool) -> None:
    """Ask on a terminal; elsewhere only `--yes` will do.

    Raises:
        UsageError: nobody can be asked.
        typer.Abort: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to ask", "repeat it with --yes, or see it with --dry-run")
    if not typer.confirm(question, err=True):
        say("nothing was changed")
        raise typer.Abort
