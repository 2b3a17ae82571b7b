"""The command `abctl`: puts the commands together, turns errors into a line and an exit code."""

import gc
import sys
from typing import Annotated, Any

import typer

from abctl import __version__
from abctl.cli._commands import Commands, named
from abctl.errors import AbctlError, Interrupted

# typer carries its own copy of click from some version on; this is the class in either case.
_UsageError: Any = typer.BadParameter.__base__


app = typer.Typer(
    name="abctl",
    cls=Commands,
    help="Is the new model better in production, and may it ship?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    # Every option can be given as ABCTL_COMMAND_OPTION; those that many share have shorter names.
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "ABCTL"},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            allow_from_autoenv=False,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point; `abctl.errors` has the exit codes."""
    try:
        sys.exit(run(sys.argv[1:]))
    finally:
        gc.freeze()  # the end need not look for garbage either: a twentieth of a short command


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code."""
    try:
        return app(arguments, prog_name="abctl", standalone_mode=False) or 0
    except AbctlError as error:
        return _fail(error.message, error.hint, error.exit_code)
    except _UsageError as error:
        if error.ctx and error.message == error.ctx.get_help():
            typer.echo(error.message, err=True)  # nothing was asked for
            return 2
        path = error.ctx.command_path if error.ctx else " ".join(["abctl", *named(arguments)])
        # What checks types says so in front of its message.
        return _fail(error.format_message().replace("Value error, ", ""), f"{path} --help", 2)
    except typer.Abort:
        return _fail("interrupted", "", Interrupted.exit_code)
    except SystemExit as end:
        # Whoever read our output has left, and typer made an exit of it; that is no failure.
        if isinstance(end.__context__, BrokenPipeError):
            return 0
        raise


def _fail(message: str, hint: str, code: int) -> int:
    typer.secho(f"error: {message}", err=True, fg="red")
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    return code
