"""`doctor`: would this experiment work, and could it be judged? Nothing is changed."""

from collections.abc import Callable, Iterator

from abctl.core.address import Entrance
from abctl.doctor import evidence, routing, world
from abctl.doctor.check import Check, Doing, failed, warning
from abctl.errors import AbctlError, ClusterError
from abctl.local import stack
from abctl.session.analyze import source_of, telemetry
from abctl.session.session import Session


def examine(
    session: Session,
    *,
    entrance_url: str | None = None,
    users: int = routing.USERS,
    doing: Doing = lambda _: None,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[Check]:
    """Every check as soon as it is done.

    Args:
        session: the experiment in its world.
        entrance_url: where requests go in, for the routing probe; a local stack knows its own.
        users: how many are made up for the probe.
        doing: called with the next step, in words.
        report: called with how many requests of the probe were answered, and of how many.
    """
    yield from world.examine(session, doing)
    if not session.adopted:
        yield from _evidence(session, doing)
    try:
        if entrance_url is None and session.state_dir is not None:
            entrance_url = stack.read(session.state_dir).entrance_url
        split = session.observe().asked
    except ClusterError:
        return  # which was said already
    if entrance_url is None:
        hint = "give the entrance: --url http://HOST"
        yield warning("routing", "entranceUnknown", hint=hint)
        return
    Entrance.parse(entrance_url)  # what is none may hold a password, and is not shown
    doing(f"sending requests of {users:,} simulated users to {entrance_url}")
    yield from routing.probe(
        session.experiment,
        split,
        entrance_url,
        first=int(session.clock()),
        users=users,
        report=report,
    )


def _evidence(session: Session, doing: Doing) -> Iterator[Check]:
    try:
        source = source_of(session)
        asked = telemetry(session.experiment, session.world)
        doing(f"asking {source.place} for every metric of every variant")
        yield from evidence.examine(session.experiment, source, asked, clock=session.clock)
    except AbctlError as why:
        yield failed("source", why)
