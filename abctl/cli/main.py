"""The command `abctl`: puts the commands together, turns errors into a line and an exit code."""

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.core

from abctl import __version__
from abctl.errors import AbctlError, Interrupted

# In the order of the work; each is a module of this package with `register(app)`.
COMMANDS: tuple[str, ...] = (
    "init",
    "lint",
    "plan",
    "schema",
    "platforms",
    "render",
    "assign",
    "local",
    "diff",
    "apply",
    "shift",
    "status",
    "promote",
    "rollback",
    "delete",
    "simulate",
    "analyze",
    "demo",
)

# typer carries its own copy of click from some version on; this is the class in either case.
_UsageError: Any = typer.BadParameter.__base__


class _Commands(typer.core.TyperGroup):
    """Ends an interrupted command with our words; typer alone would end it without any."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


app = typer.Typer(
    name="abctl",
    cls=_Commands,
    help="Is the new model better in production, and may it ship?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for _name in COMMANDS:
    import_module(f"abctl.cli.{_name}").register(app)


def main() -> None:
    """Entry point; exit codes are those of the table in docs/cli.md."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code."""
    try:
        return app(arguments, standalone_mode=False) or 0
    except AbctlError as error:
        return _fail(error.message, error.hint, error.exit_code)
    except _UsageError as error:
        hint = f"{error.ctx.command_path} --help" if error.ctx else "abctl --help"
        return _fail(error.format_message(), hint, 2)
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
