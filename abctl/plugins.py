"""The file name is the registry: a module in a package is a plugin of that package.

Modules whose name starts with an underscore are parts, not plugins.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from abctl.errors import UsageError


@cache
def names(package: str) -> tuple[str, ...]:
    """The plugins of a package (dotted name), sorted, without importing any of them."""
    path = importlib.import_module(package).__path__
    return tuple(sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_")))


def module(package: str, name: str) -> ModuleType:
    """Import one plugin by its name.

    Raises:
        UsageError: the package has no such plugin.
    """
    if name not in (known := names(package)):
        kind = package.rsplit(".", 1)[-1]
        raise UsageError(f"{kind}: no {name!r}", f"known {kind}: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
