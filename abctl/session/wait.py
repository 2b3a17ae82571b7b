"""Wait until the platform reports a split to be in effect."""

from abctl.core.split import Split
from abctl.errors import ConflictError, NotReadyError
from abctl.session.session import Session

_FIRST_POLL_SECONDS, _SLOWEST_POLL_SECONDS = 0.005, 0.5


def wait_until_in_effect(
    session: Session, split: Split, timeout_seconds: float | None = None
) -> bool:
    """Read the object until its status reports the split; False where it cannot say.

    What it waits for is reported, unless that takes but a moment. `timeout_seconds` is the
    session's if None.

    Raises:
        ConflictError: somebody else changed the object meanwhile.
        NotReadyError: not in time, with the platform's reason.
    """
    if timeout_seconds is None:
        timeout_seconds = session.timeout_seconds
    platform, ref = session.platform, session.target
    deadline, pause, told = session.clock() + timeout_seconds, _FIRST_POLL_SECONDS, ""
    slow = False
    while True:
        obj = session.world.get(ref)
        if (asked := platform.split_of(obj)) != split:
            raise ConflictError(f"{ref}: somebody else changed it to {asked}", "see `abctl status`")
        reported = platform.programmed(obj)
        if reported == split:
            return True
        if not slow and (hindrance := session.remind()):
            slow = True
            session.report(f"this may take two minutes, as nodes cannot be told: {hindrance}")
        reason = platform.refusal(obj)
        if reported is None and reason is None:
            return False
        lacking = reason or f"still {reported}"
        if session.clock() >= deadline:
            raise NotReadyError(
                f"{ref}: {split} is not in effect after {timeout_seconds:.3g} s ({lacking})",
                "the same command again goes on waiting, a shift back reverts it",
            )
        if lacking != told and pause >= _SLOWEST_POLL_SECONDS:
            session.report(f"waiting: {lacking}")
            told = lacking
        session.sleep(pause)
        pause = min(pause * 1.5, _SLOWEST_POLL_SECONDS)
