"""`abctl status --until`: how long to look, and how that ends."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._options import patience
from abctl.core.time import format_duration
from abctl.errors import NotReadyError, UsageError

if TYPE_CHECKING:
    from abctl.session.status import Status

_STOP = 11


class Until(StrEnum):
    """What is waited for."""

    in_effect = "in-effect"
    completed = "completed"


@dataclass(frozen=True)
class UntilOptions:
    """What to wait for, and for how long."""

    until: Annotated[
        Until | None,
        typer.Option(
            help="Wait until the split is in effect; or until all goes to one variant: exit code "
            "0 for a treatment, 11 for the control."
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=patience,
            metavar="DURATION",
            help="How long to wait at most (--until): 90s, 2h; else for ever. Then exit code 5.",
        ),
    ] = None

    def require_fit(self, *, watch: bool) -> None:
        """That they go with one another.

        Raises:
            UsageError: they do not.
        """
        if self.timeout is not None and self.until is None:
            hint = "--until completed --timeout 2h"
            raise UsageError(f"--timeout {format_duration(self.timeout)} without --until", hint)
        if watch and self.until is not None:
            raise UsageError(
                "--watch with --until: one of them ends, the other does not", "--until"
            )


class Waiting:
    """One wait."""

    def __init__(self, given: UntilOptions) -> None:
        self._given, self._began = given, time.monotonic()

    def over(self, found: "Status") -> bool:
        """Whether there is nothing to wait for any more."""
        return self._reached(found) or self._late

    @property
    def _late(self) -> bool:
        most = self._given.timeout
        return most is not None and time.monotonic() - self._began >= most

    def _reached(self, found: "Status") -> bool:
        from abctl.session.reached import in_effect, winner  # noqa: PLC0415 - with the session

        if self._given.until is Until.in_effect:
            return in_effect(found)
        return winner(found) is not None

    def leave(self, found: "Status") -> None:
        """Ends the command.

        Args:
            found: what was last seen.

        Raises:
            NotReadyError: it was not reached in time.
            typer.Exit: everything goes back to the control.
        """
        from abctl.session.reached import winner  # noqa: PLC0415 - with the session

        assert self._given.until is not None, "somebody waits"
        if not self._reached(found):
            waited = format_duration(self._given.timeout or 0.0)
            raise NotReadyError(
                f"not {self._given.until.value} after {waited}: {found.desired or found.asked}",
                "the same command goes on waiting; abctl analyze EXPERIMENT says what is missing",
            )
        if self._given.until is Until.completed and winner(found) == found.asked.control:
            raise typer.Exit(_STOP)
