"""Options in groups: a parameter that is a dataclass stands for its fields, each an option."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import typer


def add(app: typer.Typer, command: Callable[..., None], **defaults: Any) -> None:
    """Add a command; for typer each field of a group is a parameter.

    Args:
        app: to which.
        command: its parameters are options, or groups of them.
        defaults: of fields, where this command has others than the group.
    """
    signature = inspect.signature(command)
    groups = {p.name: p.annotation for p in signature.parameters.values() if _is_group(p)}

    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    parameters = [each for p in signature.parameters.values() for each in _parts(p, defaults)]
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    app.command()(called)


def _is_group(parameter: inspect.Parameter) -> bool:
    return is_dataclass(parameter.annotation)


def _parts(parameter: inspect.Parameter, defaults: dict[str, Any]) -> Iterator[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    if not _is_group(parameter):
        yield parameter.replace(kind=keyword)
        return
    for field in fields(parameter.annotation):
        default = defaults.get(field.name, field.default)
        given = inspect.Parameter.empty if default is MISSING else default
        yield inspect.Parameter(field.name, keyword, default=given, annotation=field.type)
