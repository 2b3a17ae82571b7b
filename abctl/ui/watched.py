"""An experiment that is looked at now and then: once per interval, however many browsers ask."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from abctl.errors import AbctlError
from abctl.files import refused
from abctl.notebook.findings import Findings


@dataclass(frozen=True)
class Seen:
    """What the last look saw.

    Attributes:
        found: what was found; of an earlier look where the last one failed, None before any.
        failure: why the last look failed; None where it did not.
        looks: how many there were.
    """

    found: Findings | None = None
    failure: AbctlError | None = None
    looks: int = 0


class Watched:
    """One experiment.

    Nothing is asked of its world while nobody asks for its page.

    Args:
        name: as the user calls it.
        look: analyzes it.
        interval_seconds: how long a look is fresh.
        clock: seconds.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Findings],
        interval_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self._look, self._interval, self._clock = look, interval_seconds, clock
        self._changed = threading.Condition()
        self._seen, self._looking = Seen(), False
        self._fresh_until = -float("inf")

    def seen(self, wait_seconds: float | None) -> Seen:
        """What is known; a look is begun if it is time for one.

        Args:
            wait_seconds: for how long to wait for that look; after it the earlier one is given;
                None: until it is over.
        """
        with self._changed:
            if not self._looking and self._clock() >= self._fresh_until:
                self._looking = True
                # Whoever ends the server does not wait for what it asks others.
                threading.Thread(target=self._look_now, daemon=True).start()
            self._changed.wait_for(lambda: not self._looking, wait_seconds)
            return self._seen

    def _look_now(self) -> None:
        found, failure = self._seen.found, None
        try:
            found = self._look()
        except AbctlError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - of one experiment, and the others go on
            said = f"this is a bug in abctl: {type(error).__name__} {error}".rstrip()
            known = refused(error) if isinstance(error, OSError) else None
            failure = known or AbctlError(said, "please report it; abctl report says more")
        with self._changed:
            self._seen = Seen(found, failure, self._seen.looks + 1)
            self._fresh_until = self._clock() + self._interval
            self._looking = False
            self._changed.notify_all()
