"""`doctor`: would this experiment work, and could it be judged? Nothing is changed."""

from collections.abc import Callable, Iterator
from pathlib import Path

from abctl.core.address import Entrance
from abctl.doctor import evidence, routing, world
from abctl.doctor.check import Check, Doing, failed, warning
from abctl.errors import AbctlError, ClusterError
from abctl.local import stack
from abctl.session.analyze import source_of, telemetry
from abctl.session.look import look
from abctl.session.place import Place


def examine(
    place: Place,
    *,
    clock: Callable[[], float],
    entrance_url: str | None = None,
    prometheus_url: str | None = None,
    prometheus_config: Path | None = None,
    users: int = routing.USERS,
    doing: Doing = lambda _: None,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[Check]:
    """Every check as soon as it is done.

    Args:
        place: the experiment and its world.
        clock: unix seconds.
        entrance_url: where requests go in, for the routing probe; a local stack knows its own.
        prometheus_url: where the counters are; else the experiment says, or the stack.
        prometheus_config: a file that says it, and who one is there.
        users: how many are made up for the probe.
        doing: told in words what is done next.
        report: told how many requests of the probe were answered, of how many.
    """
    yield from world.examine(place, doing)
    if not place.adopted:
        yield from _evidence(place, prometheus_url, prometheus_config, clock, doing)
    try:
        if entrance_url is None and place.state is not None:
            entrance_url = stack.read(place.state).entrance_url
        split = look(place.door, place.platform, place.experiment).asked
    except ClusterError:
        return  # which was said already
    if entrance_url is None:
        hint = "--url http://HOST says where requests go in"
        yield warning("routing", "entranceUnknown", hint=hint)
        return
    Entrance.parse(entrance_url)  # what is none may hold a password, and is not shown
    doing(f"asking {entrance_url} which variant {users:,} made-up users get")
    yield from routing.probe(
        place.experiment, split, entrance_url, first=int(clock()), users=users, report=report
    )


def _evidence(
    place: Place,
    url: str | None,
    config: Path | None,
    clock: Callable[[], float],
    doing: Doing,
) -> Iterator[Check]:
    try:
        source = source_of(
            place.experiment, place.state, url, prometheus_config=config, door=place.door
        )
        asked = telemetry(place.experiment, place.door)
        doing(f"asking {source.place} for every metric of every variant")
        yield from evidence.examine(place.experiment, source, asked, clock=clock)
    except AbctlError as why:
        yield failed("source", why)
