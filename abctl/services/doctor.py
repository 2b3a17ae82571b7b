"""`doctor`: would this experiment work, and could it be judged? Nothing is changed."""

from collections.abc import Callable, Iterator
from pathlib import Path

from abctl.errors import AbctlError, ClusterError
from abctl.local import stack
from abctl.services import _evidence_checks, _routing, _world_checks
from abctl.services.analyze import source_of
from abctl.services.checks import Check, error, warning
from abctl.services.look import look
from abctl.services.place import Place
from abctl.services.telemetry import telemetry


def examine(
    place: Place,
    *,
    clock: Callable[[], float],
    entrance_url: str | None = None,
    prometheus_url: str | None = None,
    prometheus_config: Path | None = None,
    users: int = _routing.USERS,
    report: Callable[[int, int], None] | None = None,
) -> Iterator[Check]:
    """Every check as soon as it is done.

    Args:
        place: the experiment and its world.
        clock: unix seconds.
        entrance_url: where requests go in, for the routing probe; a local stack knows its own.
        prometheus_url: where the counters are; else the experiment says, or the stack.
        prometheus_config: a file that says it, and who one is there.
        users: how many are made up for the probe.
        report: told how many requests of the probe were sent, of how many.
    """
    yield from _world_checks.examine(place)
    if not place.adopted:
        yield from _evidence(place, prometheus_url, prometheus_config, clock)
    yield from _routes(place, entrance_url, int(clock()), users, report)


def _evidence(
    place: Place, url: str | None, config: Path | None, clock: Callable[[], float]
) -> Iterator[Check]:
    try:
        source = source_of(
            place.experiment, place.state, url, prometheus_config=config, door=place.door
        )
        asked = telemetry(place.experiment, place.door)
        yield from _evidence_checks.examine(place.experiment, source, asked, clock=clock)
    except AbctlError as failed:
        yield error("source", failed.message, failed.hint)


def _routes(
    place: Place,
    url: str | None,
    first: int,
    users: int,
    report: Callable[[int, int], None] | None,
) -> Iterator[Check]:
    try:
        if url is None and place.state is not None:
            url = stack.read(place.state).entrance_url
        split = look(place.door, place.platform, place.experiment).asked
    except ClusterError:
        return  # which was said already
    if url is None:
        hint = "--url http://HOST says where requests go in"
        yield warning("routing", "not probed: the entrance is not known", hint)
        return
    yield from _routing.probe(place.experiment, split, url, first=first, users=users, report=report)
