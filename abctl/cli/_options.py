"""How options are declared: in groups, and how those with a unit are read.

A parameter of a command that is a dataclass stands for its fields, each an option.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import typer

from abctl.core.number import parse_number
from abctl.core.split import TOTAL_BP, format_share, parse_share_bp
from abctl.core.time import LONGEST_SECONDS, format_duration, parse_duration_seconds
from abctl.errors import FILE_OF_USER, AbctlError, SpecError, UsageError
from abctl.files import as_argument


def duration(given: str | float) -> float:
    """The seconds of an option that is a duration; its default is a number of seconds."""
    return parse_duration_seconds(given) if isinstance(given, str) else given


def patience(given: str | float) -> float:
    """The seconds of `--timeout`: a duration, or a bare number of seconds, as scripts have it."""
    try:
        seconds = parse_number(given)
    except ValueError:
        return duration(given)
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise SpecError(
            f"{given}, must be 0 or more, and no more than a hundred years",
            "write 90s, 5m, or seconds",
        )
    return seconds


def share(given: str | float) -> float:
    """The ratio of an option that is a share; its default is a ratio."""
    return parse_share_bp(given) / TOTAL_BP if isinstance(given, str) else given


EXIT_CODES_LINE = (
    "Exit codes: 0 done, 1 bug, 2 usage or file, 3 differences or failed checks, 5 cluster or "
    "local stack, 6 evidence, 10 continue, 11 stop, 12 invalid, 130 interrupted."
)
# How each is read, and how its default is shown.
WITH_UNITS: dict[Any, Callable[[float], str]] = {
    duration: format_duration,
    patience: format_duration,
    share: lambda ratio: format_share(round(ratio * TOTAL_BP)),
}


def of_option(name: str, parse: Callable[[str | float], float], given: str | float) -> float:
    """The value of an option; errors name it.

    Raises:
        UsageError: it is not written as it must be.
    """
    try:
        return parse(given)
    except SpecError as error:
        raise UsageError(f"{name}: {error.message}", error.hint) from None


def add(
    app: typer.Typer, command: Callable[..., None], *, epilog: str | None = None, **defaults: Any
) -> None:
    """Add a command; for typer each field of a group is a parameter.

    Args:
        app: to which.
        command: its parameters are options, or groups of them; each option of a group has a
            default.
        epilog: the last lines of its help.
        defaults: of fields, where this command has others than the group.
    """
    declared, groups, parameters = signature(command), dict[str, Any](), list[Parameter]()
    for each in declared.parameters.values():
        if not is_dataclass(each.annotation):
            parameters.append(each.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        groups[each.name] = each.annotation
        for field in fields(each.annotation):
            option = Parameter(field.name, Parameter.KEYWORD_ONLY, annotation=field.type)
            parameters.append(option.replace(default=defaults.get(field.name, field.default)))

    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        try:
            command(**given)
        except AbctlError as error:
            error.hint = _naming(error.hint, given.get("what") or given.get("experiment"))
            raise

    called.__signature__ = declared.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    app.command(epilog=epilog)(called)


def _naming(hint: str, word: object) -> str:
    """The hint with the user's own file in it, where that is known."""
    known = word is not None and Path(str(word)).is_file()
    return hint.replace(FILE_OF_USER, as_argument(str(word))) if known else hint
