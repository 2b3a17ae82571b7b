"""Columns as a frame of the library that somebody has."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

from abctl.errors import UsageError

LIBRARIES = ("pandas", "polars", "dict")


def frame_of(columns: Mapping[str, list[Any]], library: str) -> Any:
    """A frame of columns; `dict` is the columns themselves.

    >>> frame_of({"metric": ["accuracy"], "effect": [0.03]}, "dict")["effect"]
    [0.03]

    Raises:
        UsageError: no such library, or it is not installed.
    """
    if library not in LIBRARIES:
        raise UsageError(f"library={library!r}", f"must be one of {', '.join(LIBRARIES)}")
    if library == "dict":
        return dict(columns)
    if importlib.util.find_spec(library) is None:
        raise UsageError(
            f"{library} is not installed",
            f"install {library}, or to_frame(library='dict') gives a list for each column",
        )
    return importlib.import_module(library).DataFrame(columns)
