"""`doctor`: would this experiment work, and could it be judged? Nothing is changed."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from abctl.core.address import Entrance
from abctl.doctor import evidence, routing, world
from abctl.doctor.check import Check, Doing, failed, warning
from abctl.errors import AbctlError, ClusterError
from abctl.local import stack
from abctl.session.analyze import source_of, telemetry
from abctl.session.session import Session, State
from abctl.spec.measurement import measured


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
    seen = yield from world.examine(session, doing)
    if not session.adopted:
        yield from _evidence(session, seen, doing)
    try:
        if entrance_url is None and session.state_dir is not None:
            entrance_url = stack.read(session.state_dir).entrance_url
    except ClusterError:
        return  # which was said already
    if seen is None:
        return
    if entrance_url is None:
        made = session.platform.CAPABILITIES.made
        path = made.path(session.target) if made else ""
        yield warning("routing", "entranceUnknown", {"path": path})
        return
    Entrance.parse(entrance_url)  # what is none may hold a password, and is not shown
    doing(f"sending requests of {users:,} simulated users to {entrance_url}")
    yield from routing.probe(
        session.experiment,
        seen.asked,
        entrance_url,
        first=int(session.clock()),
        users=users,
        report=report,
    )


def _evidence(session: Session, seen: State | None, doing: Doing) -> Iterator[Check]:
    experiment = session.experiment
    try:
        source = source_of(session)
        if seen is not None:
            # With the meaning that it started with; before it starts, with today's.
            experiment = replace(experiment, meaning=seen.ledger.meaning_of(experiment))
            asked = measured(experiment, seen.carrier)
        else:
            asked = telemetry(experiment, session.world)
        doing(f"asking {source.place} for every metric of every variant")
        yield from evidence.examine(experiment, source, asked, clock=session.clock)
        if seen is not None:
            yield from evidence.answering(source, asked, seen.asked.ratios)
    except ClusterError:
        return  # which was said already
    except AbctlError as why:
        yield failed("source", why)
