"""The command line as a whole: its commands, and the options before them."""

import os
import sys
from typing import Annotated, Any

import typer

from abctl.cli._commands import VERBOSE, VERBOSE_HELP, Commands, named, show_verbose
from abctl.cli._options import EXIT_CODES_LINE
from abctl.errors import UsageError
from abctl.version import __version__

# typer carries its own copy of click from some version on; this is the class in either case.
_WrongUsage: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="abctl",
    cls=Commands,
    help="Is the new model better in production, and may it ship?",
    epilog=EXIT_CODES_LINE,
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
    verbose: Annotated[
        int,
        typer.Option(*VERBOSE, count=True, is_eager=True, callback=show_verbose, help=VERBOSE_HELP),
    ] = 0,
) -> None:
    del verbose  # its callback has done it


def call(arguments: list[str]) -> int:
    """Call the command that a command line names; gives its exit code.

    Raises:
        AbctlError: what went wrong.
        KeyboardInterrupt: the user ended it.
        BrokenPipeError: whoever read the answer has left.
    """
    try:
        if os.environ.get("ABCTL_LOG"):
            from abctl.cli import _log  # noqa: PLC0415 - seldom given

            _log.show_from_environment()
        return app(arguments, prog_name="abctl", standalone_mode=False) or 0
    except _WrongUsage as error:
        if error.ctx and error.message == error.ctx.get_help():
            typer.echo(error.message, err=True)  # nothing was asked for
            return 2
        path = error.ctx.command_path if error.ctx else " ".join(["abctl", *named(arguments)])
        # What checks types says so in front of its message.
        message = error.format_message().replace("Value error, ", "")
        raise UsageError(message, f"{path} --help") from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as end:
        # typer and rich make an exit of it.
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    finally:
        if log := sys.modules.get("abctl.cli._log"):
            log.silence()
