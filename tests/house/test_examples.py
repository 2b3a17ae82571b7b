"""Each public class of the numbers, the domain and the experiment file shows how it is used.

Public is a class without an underscore of a module without one, or one that a module lists in its
`__all__`. Left out are protocols (they have no instances), exceptions (examples raise them) and
enums (their members explain them). Aliases of types are no classes.
"""

import doctest
import enum
import importlib
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("stats", "core", "spec")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# As numpy prints where nobody has set anything else.
PRINTED = {
    "precision": 8,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 75,
    "suppress": False,
    "sign": "-",
    "floatmode": "maxprec",
    "legacy": False,
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = [
    module_name(path) for room in ROOMS for path in sorted((ROOT / "abctl" / room).rglob("*.py"))
]


def public_classes(module: ModuleType) -> Iterator[type]:
    listed = getattr(module, "__all__", ())
    private = any(part.startswith("_") for part in module.__name__.split("."))
    for name, found in vars(module).items():
        own = getattr(found, "__module__", "") == module.__name__ and not private
        if inspect.isclass(found) and not name.startswith("_") and (own or name in listed):
            yield found


def explained_elsewhere(found: type) -> bool:
    protocol = typing.Protocol in found.__bases__
    return protocol or issubclass(found, BaseException | enum.Enum)


CLASSES = {
    f"{found.__module__}.{found.__qualname__}": found
    for name in MODULES
    for found in public_classes(importlib.import_module(name))
    if not explained_elsewhere(found)
}


def without_example(classes: dict[str, type]) -> list[str]:
    return [name for name, found in classes.items() if ">>>" not in (found.__doc__ or "")]


def test_each_public_class_has_an_example() -> None:
    assert without_example(CLASSES) == []


def test_a_class_without_an_example_would_be_found() -> None:
    class Bare:
        """It says nothing."""

    assert without_example({"Bare": Bare}) == ["Bare"]
    assert len(CLASSES) > 50
    assert "abctl.stats.summary.Stream" in CLASSES
    assert "abctl.stats.srm._clustered.SrmResult" in CLASSES


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_say_what_comes_out(name: str) -> None:
    with np.printoptions(**PRINTED):
        found = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert found.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_each_example_of_a_module_is_run(name: str) -> None:
    """An object that doctest does not find keeps examples that nobody tries."""
    module = importlib.import_module(name)
    examples = [e for test in doctest.DocTestFinder().find(module) for e in test.examples]
    assert len(examples) == inspect.getsource(module).count(">>> ")
