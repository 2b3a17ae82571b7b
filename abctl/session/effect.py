"""Wait until a split is in effect, as far as its platform can tell."""

from collections.abc import Callable

from abctl.cluster import Door
from abctl.core.change import Ref
from abctl.core.split import Split
from abctl.errors import ConflictError, NotReadyError
from abctl.platforms import Platform

_FIRST_POLL_SECONDS, _SLOWEST_POLL_SECONDS = 0.005, 0.5

Report = Callable[[str], None]


def wait_until_in_effect(
    door: Door,
    platform: Platform,
    ref: Ref,
    split: Split,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    timeout_seconds: float,
    report: Report = lambda _: None,
) -> bool:
    """Read the object until its status reports the split; False where it cannot say.

    `report` is told what it waits for, unless that takes but a moment.

    Raises:
        ConflictError: somebody else changed the object meanwhile.
        NotReadyError: not in time, with the platform's reason.
    """
    deadline, pause, told = clock() + timeout_seconds, _FIRST_POLL_SECONDS, ""
    while True:
        obj = door.get(ref)
        if (asked := platform.split_of(obj)) != split:
            raise ConflictError(f"{ref}: somebody else changed it to {asked}", "see `abctl status`")
        reported, reason = platform.programmed(obj), platform.refusal(obj)
        if reported == split:
            return True
        if reported is None and reason is None:
            return False
        lacking = reason or f"still {reported}"
        if clock() >= deadline:
            raise NotReadyError(
                f"{ref}: {split} is not in effect after {timeout_seconds:g} s ({lacking})",
                "the same command again goes on waiting, a shift back reverts it",
            )
        if lacking != told and pause >= _SLOWEST_POLL_SECONDS:
            report(f"waiting: {lacking}")
            told = lacking
        sleep(pause)
        pause = min(pause * 1.5, _SLOWEST_POLL_SECONDS)
