"""Who else in the cluster wants what an experiment needs: its host, its Services, its objects.

Routes say it themselves; what other experiments count is in the plans that their ledgers locked.
What one may not see is no reason to stop, but is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.ledger import Ledger
from abctl.errors import (
    AbctlError,
    ClusterError,
    ConflictError,
    NoPlaceError,
    NotReadyError,
    UnreachableError,
)
from abctl.forms.plan import when_locked
from abctl.platforms import platform
from abctl.session.listing import listed
from abctl.session.session import Session
from abctl.spec.rivals import plain, shared, taken

_QUEUE_SECONDS = 2.0
_ROUTES = ("HTTPRoute", "GRPCRoute", "VirtualService")
_GATEWAY_API = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True)
class Rival:
    """Somebody else who has what an experiment needs.

    >>> str(Rival("experiment/wine in shop", "Service shop/iris-v1:80"))
    'experiment/wine in shop has Service shop/iris-v1:80 too'
    """

    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.who} has {self.what} too"


@dataclass(frozen=True)
class Found:
    """The rivals that were seen, and what could not be looked at."""

    rivals: tuple[Rival, ...]
    unread: tuple[str, ...]


def rivals(session: Session, carrier: Object) -> Found:
    """Look for others, in every namespace if one may, else in that of the experiment.

    Args:
        session: the experiment in its cluster; a local stack has all for itself.
        carrier: the object that carries the split, as it is or will be.
    """
    if session.state_dir is not None:
        return Found((), ())
    unread: list[str] = []
    found = [*_routes(session, carrier, unread), *_ledgers(session, carrier, unread)]
    return Found(tuple(dict.fromkeys(found)), tuple(unread))


def require_alone(session: Session, carrier: Object, *, force: bool = False) -> None:
    """Refuse to start an experiment beside one that has what it needs.

    Raises:
        ConflictError: there is one; nothing was changed.
    """
    found = rivals(session, carrier)
    _tell_unread(session, found)
    if found.rivals and not force:
        raise ConflictError(
            f"{'; '.join(map(str, found.rivals))}; nothing was changed",
            "of one host or Service only one experiment can be judged: end the other (abctl "
            "delete), or give this one its own; --force starts it all the same",
        )


def wait_until_alone(session: Session, carrier: Object, deadline: float) -> None:
    """Wait until no other experiment has what this one needs; nothing is written meanwhile.

    Of several that wait, whoever looks first goes first.

    Args:
        session: the experiment in its cluster.
        carrier: the object that will carry the split.
        deadline: until when, by the session's clock.

    Raises:
        NotReadyError: there still is one.
    """
    told: tuple[Rival, ...] = ()
    while (found := rivals(session, carrier)).rivals:
        words = "; ".join(map(str, found.rivals))
        if session.clock() >= deadline:
            raise NotReadyError(f"{words}; nothing was changed", "the same command waits again")
        if found.rivals != told:
            session.report(f"queued: {words}")
            told = found.rivals
        session.sleep(_QUEUE_SECONDS)
    _tell_unread(session, found)


def _tell_unread(session: Session, found: Found) -> None:
    for each in found.unread:
        session.report(
            f"other experiments at the same host or Services were not looked for: {each}"
        )


def _routes(session: Session, carrier: Object, unread: list[str]) -> Iterator[Rival]:
    own = Ref.of(carrier)
    kinds = [own] if own.kind in _ROUTES else []
    # Routes of HTTP and of gRPC share the hosts of a listener.
    if other := {"HTTPRoute": "GRPCRoute", "GRPCRoute": "HTTPRoute"}.get(own.kind):
        kinds.append(Ref(_GATEWAY_API, other, own.namespace, ""))
    for each in kinds:

        def look(place: str, kind: Ref = each) -> Sequence[Object]:
            return session.world.list(kind.api_version, kind.kind, place, {})

        there = _everywhere(look, each, unread)
        for rival, where in taken(session.experiment, carrier, there):
            yield Rival(f"{rival} in {rival.namespace}", where)


def _ledgers(session: Session, carrier: Object, unread: list[str]) -> Iterator[Rival]:
    own, mine = session.experiment, plain(session.experiment)
    ref = Ref("v1", "ConfigMap", own.namespace, "")
    for each in _everywhere(lambda place: listed(session.world, place), ref, unread):
        if each.ledger is None or each.ledger.without_plan:
            continue
        if each.target and (each.name, each.namespace) == (own.name, own.namespace):
            if each.target != str(session.target) and not session.adopted:
                for made in _both_make(session, each.ledger.locked):
                    yield Rival(f"{each.target} in {each.namespace}", made)
            continue
        who = f"experiment/{each.name} in {each.namespace}"
        for service in shared(mine, each.ledger.locked):
            yield Rival(who, f"Service {service}")
        for where in _begun(session, carrier, each.ledger):
            yield Rival(who, where)


def _begun(session: Session, carrier: Object, ledger: Ledger) -> Iterator[str]:
    """Where an experiment that is being started will take requests: its route comes last."""
    if carrier["kind"] not in _ROUTES or ledger.intent is None or ledger.intent.before is not None:
        return
    with suppress(AbctlError):  # it is damaged, or of another abctl, which others tell
        other = when_locked(ledger)
        made = platform(other.platform)
        route = [obj for obj in made.objects(other) if Ref.of(obj) == made.target(other)]
        yield from (where for _, where in taken(session.experiment, carrier, route))


def _both_make(session: Session, locked: Mapping[str, Any]) -> Iterator[str]:
    """The servers that another experiment of the same name has made as well."""
    made = {v["name"] for v in locked.get("variants") or () if (v.get("model") or {}).get("image")}
    for variant in session.experiment.variants:
        if variant.model.image and variant.name in made:
            yield f"the servers of {variant.name}"


def _everywhere(look: Any, ref: Ref, unread: list[str]) -> Sequence[Any]:
    """What is listed in all namespaces, or where one may not, in that of the reference."""
    try:
        return list(look(""))
    except UnreachableError:
        raise
    except NoPlaceError:
        return []  # nobody can have one
    except ClusterError:
        try:
            return list(look(ref.namespace))
        except UnreachableError:
            raise
        except ClusterError as error:
            unread.append(error.message)
            return []
