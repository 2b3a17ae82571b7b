"""What each argument and option of each command is, found in the command line itself.

A type that says it all (a choice, a number) is a kind by itself; what is written as text or as a
path is named below. An option that is not fails the test that asks for its kind.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from abctl.cli._app import app
from abctl.cli._commands import COMMANDS

OF_TYPE = {
    "BoolParamType": "flag",
    "TyperChoice": "choice",
    "IntParamType": "whole number",
    "IntRange": "whole number",
    "FloatParamType": "number",
    "FloatRange": "number",
    "FuncParamType": "duration",
}
# By name, or by command and name where another command means something else by it.
OF_NAME = {
    "accept": "words",
    "actor": "words",
    "allow_credentials": "words",
    "allow_source": "words",
    "analyze.answer": "words",
    "analyze.at": "words",
    "analyze.control": "words",
    "analyze.events": "events",
    "analyze.format_": "words",
    "analyze.guardrail": "words",
    "analyze.primary": "words",
    "analyze.unit": "words",
    "answers_differ": "size",
    "baseline": "size",
    "controller.listen": "target",
    "controller.prometheus": "words",
    "candidate": "version",
    "control": "version",
    "context": "context",
    "data": "rows",
    "duration": "duration",
    "effect": "effect",
    "encoding": "name",
    "experiment": "experiment",
    "fail_on": "words",
    "gate": "words",
    "feedback_delay": "duration",
    "file": "output",
    "files": "experiment",
    "for_": "duration",
    "from_": "evidence",
    "header": "header",
    "init.model": "model",
    "init.outcome": "outcome",
    "interval": "duration",
    "keep": "words",
    "kubeconfig": "kubeconfig",
    "label": "words",
    "labels": "rows",
    "local down.experiment": "stack",
    "local logs.experiment": "stack",
    "logs.experiment": "stack",
    "logs.variant": "process",
    "log_input": "words",
    "local status.experiment": "stack",
    "margin": "size",
    "mde": "size",
    "metric": "name",
    "models": "folder of models",
    "name": "label",
    "namespace": "namespace",
    "platform": "name",
    "process": "process",
    "prometheus": "source",
    "prometheus_config": "connection",
    "ramp": "ramp",
    "report.answer": "words",
    "report.at": "words",
    "report.control": "words",
    "report.events": "events",
    "report.format_": "words",
    "report.guardrail": "words",
    "report.primary": "words",
    "report.unit": "words",
    "save": "output",
    "segment": "words",
    "scrape.file": "scrapes",
    "split": "split",
    "state": "state",
    "targets": "target",
    "to": "split",
    "traffic": "traffic",
    "units": "words",
    "url": "entrance",
    "variant": "name",
    "what": "experiment",
    "why": "words",
}


@dataclass(frozen=True)
class Slot:
    """A place of a command line that takes a value.

    Attributes:
        command: its words, without `abctl`.
        name: of the parameter.
        flag: of an option; empty for an argument.
        kind: what it takes.
    """

    command: tuple[str, ...]
    name: str
    flag: str
    kind: str
    required: bool

    def __str__(self) -> str:
        return f"{' '.join(self.command)} {self.flag or self.name.upper()}"


@dataclass(frozen=True)
class Command:
    """A command and its places, in the order in which arguments are given."""

    words: tuple[str, ...]
    slots: tuple[Slot, ...]


def commands() -> list[Command]:
    """All of them, as they are."""
    group: Any = typer.main.get_command(app)
    found = (_within((name,), group.get_command(None, name)) for name in COMMANDS)
    return [command for each in found for command in each]


def _within(words: tuple[str, ...], command: Any) -> Iterator[Command]:
    if parts := getattr(command, "commands", {}):
        for name, part in parts.items():
            yield from _within((*words, name), part)
    else:
        slots = (_slot(words, each) for each in command.params if each.name != "help")
        yield Command(words, tuple(slots))


def _slot(words: tuple[str, ...], parameter: Any) -> Slot:
    is_option = parameter.param_type_name == "option"
    flag = max(parameter.opts, key=len) if is_option else ""
    here = f"{' '.join(words)}.{parameter.name}"
    kind = OF_TYPE.get(type(parameter.type).__name__)
    kind = kind or OF_NAME.get(here) or OF_NAME.get(parameter.name)
    if kind is None:
        raise LookupError(f"{here}: name its kind in tests/faults/argument_kinds.py")
    return Slot(words, parameter.name, flag, kind, parameter.required)
