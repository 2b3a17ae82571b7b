"""What carries the split: pure translators between an experiment and Kubernetes objects.

A platform is a module here with the names of the `Platform` protocol.
Laws (tests/contract): `split_of(with_split(o, s)) == s`; the input stays unchanged; fields other
than the weights stay untouched; a split off the grain, or anything that the platform cannot
express, is a SpecError before anything is written.
"""

from dataclasses import dataclass
from typing import Protocol, cast

from abctl import plugins
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split


@dataclass(frozen=True)
class Capabilities:
    """What a platform can do; `parts` is its grain (100: whole percents)."""

    parts: int
    sticky: bool
    override: bool
    cohorts: bool
    shadow: bool
    max_variants: int | None


class Platform(Protocol):
    """A module of this package."""

    CAPABILITIES: Capabilities

    @staticmethod
    def objects(experiment: Experiment) -> list[Object]:
        """Everything that the experiment needs, in the order in which it is applied."""
        ...

    @staticmethod
    def target(experiment: Experiment) -> Ref:
        """The one object that carries the split."""
        ...

    @staticmethod
    def with_split(obj: Object, split: Split) -> Object:
        """A copy of the object with another split of the same variants."""
        ...

    @staticmethod
    def split_of(obj: Object) -> Split:
        """The split that the object asks for."""
        ...

    @staticmethod
    def programmed(obj: Object) -> Split | None:
        """The split that the object's status says is in effect; None where it does not say."""
        ...

    @staticmethod
    def refusal(obj: Object) -> str | None:
        """Why the status says that the object is not in effect; None where it gives no reason."""
        ...


def platform(name: str) -> Platform:
    """The platform of that name (a module of this package)."""
    return cast("Platform", plugins.module(__name__, name))
