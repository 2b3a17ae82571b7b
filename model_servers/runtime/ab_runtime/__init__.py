"""One variant of an experiment: MLServer with counters and feedback around any runtime of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ab_runtime.runtime import ABRuntime

__all__ = ["ABRuntime"]


def __getattr__(name: str) -> Any:
    # The collector needs neither MLServer nor scikit-learn, which take seconds to import.
    if name == "ABRuntime":
        from ab_runtime.runtime import ABRuntime  # noqa: PLC0415

        return ABRuntime
    raise AttributeError(name)
