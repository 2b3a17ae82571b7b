"""The commands, each imported when it is called: `abctl --help` need not know what they need."""

import difflib
from collections.abc import Callable
from copy import copy
from functools import partial
from importlib import import_module
from typing import Any

import typer
import typer.core
import typer.main

from abctl.cli._options import WITH_UNITS, of_option
from abctl.core.number import parse_number, parse_whole
from abctl.errors import UsageError

# In the order of the work; each is a module of this package with `register(app)`.
COMMANDS = {
    "init": "Write a commented experiment file to start from.",
    "lint": "Check experiment files.",
    "plan": "Say how many units an experiment needs.",
    "schema": "Print the JSON Schema of an experiment file, or of an analysis.",
    "platforms": "Say what each platform can do.",
    "render": "Print the objects that carry an experiment, in YAML.",
    "assign": "Say which variant an id gets, and why.",
    "local": "Run model servers, Envoy and Prometheus on this machine.",
    "diff": "Show what `abctl apply` would change.",
    "apply": "Apply an experiment's objects to a cluster.",
    "adopt": "Start the ledger of objects that somebody else applied.",
    "amend": "Change the locked plan on record.",
    "shift": "Change the split, and wait until it is in effect.",
    "run": "Let the split grow by the ramp of the file, as the evidence allows.",
    "controller": "Run the ramps of all Experiment objects of some namespaces.",
    "approve": "Let a ramp pass the gate that comes next.",
    "pause": "Let no share of a ramp grow.",
    "resume": "Let a ramp go on that was paused or aborted.",
    "abort": "End a ramp: everything goes back to the control.",
    "status": "Say which split is wanted, and which one is in effect.",
    "list": "List the experiments of a namespace, or of all.",
    "log": "Print who changed what, when and why.",
    "logs": "Print the log of predictions of a local stack.",
    "promote": "Send everything to a treatment.",
    "rollback": "Send everything back to the control.",
    "delete": "Delete an experiment's objects, and its ledger with them.",
    "simulate": "Send requests of simulated users, with feedback.",
    "feedback": "Report what happened after predictions, from a file.",
    "scrape": "Read metrics pages into a file, where no Prometheus does.",
    "analyze": "Say what the evidence says, and what follows.",
    "why": "Say why the verdict is what it is.",
    "report": "Write an analysis as one page for a browser.",
    "ui": "Show reports live in a browser.",
    "doctor": "Check everything that an experiment needs.",
    "demo": "Run the whole loop on this machine.",
}


ONE_FILE = ("--events", "--from")
VERBOSE = ("--verbose", "-v")
VERBOSE_HELP = "Show on stderr what is asked of whom, and what is decided; -vv: more."
_READERS: dict[Any, Callable[[str], float]] = {int: parse_whole, float: parse_number}


def _read_numbers(command: Any) -> None:
    """Have the numbers of a command, and of those below it, read as those of a file are."""
    for parameter in command.params:
        name = max(parameter.opts, key=len)
        if reader := _READERS.get(getattr(parameter.type, "_number_class", None)):
            parameter.type = copy(parameter.type)  # which other commands share
            parameter.type._number_class = partial(_plain, name, reader)  # noqa: SLF001 - it asks nobody else
        parse: Any = getattr(parameter.type, "func", None)
        if show := WITH_UNITS.get(parse):
            parameter.type = copy(parameter.type)
            parameter.type.func = partial(of_option, name, parse)
            if isinstance(parameter.default, int | float):
                parameter.show_default = show(parameter.default)
    for below in getattr(command, "commands", {}).values():
        _read_numbers(below)


def _plain(name: str, reader: Callable[[str], float], text: str) -> float:
    """A number without a unit; who writes percent is told the number."""
    try:
        return reader(text)
    except ValueError:
        number = str(text).strip().removesuffix("%")
        if number == str(text).strip() or not number.replace(".", "", 1).isdecimal():
            raise
        hint = f"write {float(number) / 100:.12g}"
        raise UsageError(f"{name}: {text!r}, must be a number without a unit", hint) from None


def show_verbose(times: int) -> None:
    """What `-v` asks for, wherever it is given."""
    if times:
        from abctl.cli import _log  # noqa: PLC0415 - seldom given

        _log.show_verbose(times)


def _refuse_twice(command: Any) -> None:
    """Have a file that is to be judged refused where there are two: the first would be lost."""
    parse = command.parse_args

    def parse_once(ctx: Any, args: list[str]) -> Any:
        if not ctx.resilient_parsing:
            *_, order = command.make_parser(ctx).parse_args(list(args))
            for name in ONE_FILE:
                if sum(name in each.opts for each in order) > 1:
                    raise UsageError(f"{name} is given twice, and takes one file", "give it once")
        return parse(ctx, args)

    command.parse_args = parse_once


def _add_verbose(command: Any) -> None:
    """Let `-v` be given after a command, and after those below it."""
    command.params.append(
        typer.core.TyperOption(
            param_decls=list(VERBOSE),
            count=True,
            is_eager=True,
            expose_value=False,
            callback=lambda _, __, times: show_verbose(times),
            help=VERBOSE_HELP,
        )
    )
    for below in getattr(command, "commands", {}).values():
        _add_verbose(below)


def named(arguments: list[str]) -> list[str]:
    """The command that a command line begins with, if there is one."""
    return [word for word in arguments[:1] if word in COMMANDS]


class Commands(typer.core.TyperGroup):
    """The commands by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the work."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None if there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        app = typer.Typer(rich_markup_mode=None)
        import_module(f"abctl.cli.{cmd_name}").register(app)
        command = typer.main.get_group(app).commands[cmd_name]
        _read_numbers(command)
        _add_verbose(command)
        _refuse_twice(command)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in the help, without an import."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; where there is none, name the one that is nearly called so."""
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS:
            raise UsageError(f"no command {args[0]!r}", f"did you mean abctl {near[0]}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; typer would end an interrupted one without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None
