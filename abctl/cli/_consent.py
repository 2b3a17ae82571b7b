"""Nothing in the world is changed unless somebody said yes."""

import sys

import typer

from abctl.cli._output import say
from abctl.errors import Interrupted, UsageError
from abctl.foreign import shown


def require_consent(question: str, *, yes: bool, unasked: str = "--yes") -> bool:
    """Ask on a terminal; elsewhere only `--yes` will do.

    Args:
        question: what to say yes or no to.
        yes: whether that was said already.
        unasked: the option that says so.

    Returns:
        Whether somebody was asked, which takes as long as they like.

    Raises:
        UsageError: nobody can be asked.
        typer.Exit: the answer was no.
        Interrupted: there was no answer.
    """
    if yes:
        return False
    if not sys.stdin.isatty():
        raise UsageError(
            "stdin is not a terminal: the question has no answer",
            "repeat it with --yes, or see it with --dry-run",
        )
    try:
        if typer.confirm(shown(question), err=True):
            return True
    except typer.Abort:
        say("")  # the end of the line with the question
        raise Interrupted(
            "interrupted: nothing was changed",
            f"the same command asks again, {unasked} does not ask",
        ) from None
    say("nothing was changed")
    raise typer.Exit(Interrupted.exit_code)
