"""What a controller has seen last of each experiment: for its metrics, and lost with it."""

from dataclasses import dataclass, field
from threading import Lock

from abctl.controller.reconcile import Found
from abctl.session.declared import Declared


@dataclass(frozen=True)
class Look:
    """The last look at one experiment.

    Attributes:
        declared: the object.
        found: what was found.
    """

    declared: Declared
    found: Found


@dataclass
class Seen:
    """What was seen, by the uid of each object; threads may write it at once."""

    looks: dict[str, Look] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    count: int = 0
    _lock: Lock = field(default_factory=Lock)

    def looked(self, declared: Declared, found: Found, seconds: float) -> None:
        """A look was done, which took so long."""
        with self._lock:
            self.looks[declared.uid] = Look(declared, found)
            self.seconds += seconds
            self.count += 1
        if found.error is not None:
            self.failed(found.error)

    def failed(self, error: Exception) -> None:
        """Something did not go as it should."""
        name = type(error).__name__
        with self._lock:
            self.errors[name] = self.errors.get(name, 0) + 1

    def keep(self, uids: set[str]) -> None:
        """Forget all others: they are no more."""
        with self._lock:
            for uid in self.looks.keys() - uids:
                del self.looks[uid]

    def copied(self) -> tuple[list[Look], dict[str, int], float, int]:
        """Everything at one moment."""
        with self._lock:
            return list(self.looks.values()), dict(self.errors), self.seconds, self.count
