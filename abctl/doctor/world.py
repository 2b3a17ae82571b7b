"""Is the experiment where it should be, may abctl work on it, and can every variant answer?

The cluster itself says what one may do there, action by action.
"""

from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from abctl.cluster import KubeClient
from abctl.core.change import Object, Ref
from abctl.core.collector import is_made, keys_of
from abctl.core.ledger import ledger_ref
from abctl.core.reasons import Reason
from abctl.doctor.check import Check, Doing, Level, error, failed, ok, warning
from abctl.errors import ClusterError, NoPlaceError, NotFoundError, UnreachableError
from abctl.local import disk, stack
from abctl.session.owners import owners_of
from abctl.session.readiness import COLLECTS, serving
from abctl.session.rivals import rivals
from abctl.session.session import Session, State
from abctl.session.tree import unable
from abctl.spec.reach import proxied

_EACH = ("get", "create", "patch", "delete")
# Without it a shift takes the nodes' time, or nobody can tell when it is in effect.
AT_ONCE = "see and hasten a shift"
# By way of the API server, where the file names a Service.
COUNTERS = "read the counters"


@dataclass(frozen=True)
class Deed:
    """Something that commands do, and the requests that it takes."""

    name: str
    takes: Sequence[tuple[str, Ref]]

    def refused(self, client: KubeClient) -> list[str]:
        """What one may not do of it: `create/patch HTTPRoute`, once for each kind.

        Raises:
            ClusterError: it cannot be asked, or does not know a kind.
        """
        once = {(verb, ref.api_version, ref.kind): ref for verb, ref in self.takes}
        verbs: dict[str, list[str]] = {}
        for (verb, _, kind), ref in once.items():
            if not client.may(verb, ref):
                verbs.setdefault(kind, []).append(verb)
        return [f"{'/'.join(each)} {kind}" for kind, each in verbs.items()]


def deeds(
    target: Ref,
    ledger: Ref,
    made: Iterable[Ref],
    keys: Ref | None = None,
    *,
    asks_pods: bool = False,
    counters: Ref | None = None,
) -> list[Deed]:
    """What there is to do, the least first.

    Args:
        target: what carries the split.
        ledger: the ConfigMap of the ledger: its first entry is a POST, every other one a PUT.
        made: the objects that abctl makes; none that abctl did not create.
        keys: the Secret that an apply makes for a collector, and never reads.
        asks_pods: whether pods of a proxy are asked what they have loaded, and told to look anew.
        counters: the Service that the API server passes questions for counters on to.
    """
    look = Deed("look", [("get", target), ("get", ledger)])
    shift = Deed("shift", [("patch", target), ("create", ledger), ("update", ledger)])
    pods = Ref("v1", "Pod", target.namespace, "")
    parts = {"list": pods, "get": replace(pods, kind="Pod/proxy")}
    at_once = Deed(AT_ONCE, [*parts.items(), ("patch", replace(pods, kind="Pod/status"))])
    apply = [(verb, ref) for ref in made for verb in _EACH]
    apply += [("create", keys)] if keys and apply else []
    return [
        look,
        shift,
        *([at_once] if asks_pods else []),
        *([Deed(COUNTERS, [("get", counters)])] if counters else []),
        *([Deed("apply", [*apply, ("delete", ledger)])] if apply else []),
    ]


def check(client: KubeClient, needed: Sequence[Deed], *, there: bool) -> Check:
    """Which of them one may do; an account may well be meant for less than all.

    Args:
        client: to the cluster.
        needed: what there is to do, the least first.
        there: whether the experiment was applied already.

    Raises:
        ClusterError: as of `Deed.refused`.
    """
    refused = {deed.name: deed.refused(client) for deed in needed}
    facts = {
        "may": [name for name, lacking in refused.items() if not lacking],
        "may_not": {name: lacking for name, lacking in refused.items() if lacking},
    }
    about = {"namespaces": sorted({ref.namespace for d in needed for _, ref in d.takes})}
    if refused["look"]:
        return error("permissions", "notPermitted", about, **facts)
    lacking = any(refused.get(name) for name in ("shift", AT_ONCE, COUNTERS))
    if lacking or (facts["may_not"] and not there):
        return warning("permissions", "notPermitted", about, **facts)
    return ok("permissions", "permitted", **facts)


def examine(session: Session, doing: Doing) -> Generator[Check, None, State | None]:
    """Reachable, installed, permitted, present, consistent, ready; in this order.

    Returns:
        What was seen of the experiment; None where it cannot be seen, which was said.
    """
    doing(f"reading {session.words}")
    target, carrier = session.target, None
    try:
        carrier = session.world.get(target)
    except UnreachableError as why:
        yield failed("world", why)
        return None
    except ClusterError:
        pass  # it answers; what it says is looked at below
    if session.state_dir is None:
        yield ok("world", "answers", place=session.words)
        made = session.objects
        doing("checking your permissions there")
        yield _permissions_of(session, target, list(map(Ref.of, made)), there=carrier is not None)
        refs = list(dict.fromkeys([*map(Ref.of, made), target]))
        yield from _objects(session, refs, {target} if carrier else set())
        doing("looking for others that have the same host, Services or split")
        yield from _others(session, carrier, made)
    else:
        yield from _processes(session)
    doing("reading the split and the variants")
    seen = None
    try:
        seen = session.observe()
    except NotFoundError as why:
        yield failed("split", why, "warning")
    except ClusterError as why:
        yield failed("split", why)
    else:
        recorded = ok("split", "splitAsRecorded", split=seen.asked.ratios)
        yield from list(_split(session, seen)) or [recorded]
    yield from _variants(session, carrier)
    yield from _collector(session)
    return seen


def _permissions_of(session: Session, target: Ref, made: Sequence[Ref], *, there: bool) -> Check:
    keys = keys_of(session.experiment) if is_made(session.experiment) else None
    asks_pods = session.platform.CAPABILITIES.inquiry is not None
    source = session.experiment.source
    needed = deeds(
        target,
        ledger_ref(session.experiment),
        made,
        keys,
        asks_pods=asks_pods,
        counters=proxied(source.options if source else {}, session.experiment.namespace),
    )
    try:
        return check(session.world, needed, there=there)
    except ClusterError as why:
        return failed("permissions", why)


def _objects(session: Session, refs: Sequence[Ref], known: Container[Ref]) -> Iterator[Check]:
    present, absent, hidden = list[Ref](), list[Ref](), list[Ref]()
    wrong = dict[str, Check]()
    for ref in refs:
        try:
            if ref not in known:
                session.world.get(ref)
        except NoPlaceError as why:
            # What an apply would not bring: a kind that is not installed, no namespace.
            wrong[ref.kind] = failed(f"objects: {ref.kind}", why)
        except NotFoundError:
            absent.append(ref)
        except ClusterError as why:
            if _forbidden(session, ref):
                hidden.append(ref)
            else:
                wrong[ref.kind] = failed(f"objects: {ref.kind}", why)
        else:
            present.append(ref)
    yield from wrong.values()
    unreadable = list(map(str, hidden))
    if absent:
        facts = {"missing": list(map(str, absent)), "unreadable": unreadable}
        yield warning("objects", "objectsMissing", {"experiment": session.word}, **facts)
    elif not wrong:
        there = list(map(str, present))
        yield ok("objects", "objectsPresent", present=there, unreadable=unreadable)


def _others(session: Session, carrier: Object | None, made: Sequence[Object]) -> Iterator[Check]:
    """Who else has what the experiment needs, and who else writes its split."""
    wanted = carrier or next((obj for obj in made if Ref.of(obj) == session.target), None)
    if wanted is None:
        return
    try:
        seen = rivals(session, wanted)
    except ClusterError as why:
        yield failed("rivals", why)
        return
    unread = list(seen.unread)
    if seen.rivals:
        known = [{"who": each.who, "what": each.what} for each in seen.rivals]
        yield error("rivals", "contested", rivals=known, unread=unread)
    else:
        yield ok("rivals", "uncontested", unread=unread)
    for owner in owners_of(session, carrier) if carrier else ():
        reason = Reason("owned", {"owner": owner.name, "target": str(session.target)})
        level: Level = "error" if owner.controls else "warning"
        yield Check("owners", level, reason, owner.advice)


def _forbidden(session: Session, ref: Ref) -> bool:
    try:
        return not session.world.may("get", ref)
    except ClusterError:
        return False


def _processes(session: Session) -> Iterator[Check]:
    """What runs on this machine, and whether there is room for what it writes."""
    state = session.state_dir
    assert state is not None
    if full := disk.full(state):
        yield error("disk", "diskFull", detail=full)
    try:
        dead = stack.read(state).dead
    except NotFoundError as why:
        yield failed("processes", why)
        return
    if dead:
        ended = {process.name: process.ending for process in dead}
        about = {"state": state, "process": dead[-1].name}
        yield error("processes", "processesEnded", about, ended=ended)
    else:
        yield ok("processes", "processesRun")


def _split(session: Session, seen: State) -> Iterator[Check]:
    """Whatever is wrong with the split, or open."""
    split = seen.asked.ratios
    about: dict[str, str | None] = {"experiment": session.word}
    if refusal := seen.refusal:
        yield error("split", "splitNotInEffect", about, split=split, detail=refusal)
    if seen.other_variants:
        # Without a file there is no plan that could have changed, nor an analysis.
        level: Level = "warning" if session.adopted else "error"
        reason = Reason("variantsDiffer", {"detail": seen.other_variants})
        yield Check("split", level, reason, seen.remedy)
    elif seen.drifted:
        recorded = seen.ledger.desired
        ledger_split = None if recorded is None else recorded.ratios
        yield warning("split", "splitSetElsewhere", split=split, ledger_split=ledger_split)
    elif intent := seen.ledger.intent:
        back = intent.before.short if intent.before else None
        about |= {"after": intent.after.short, "before": back}
        facts = {"actor": intent.actor, "split": intent.after.ratios}
        yield warning("split", "shiftUnfinished", about, **facts)
    if seen.unseen:
        yield warning("split", "effectUnknown", split=split, detail=seen.unseen)


def _variants(session: Session, carrier: Object | None) -> Iterator[Check]:
    lacking = unable(session, carrier)
    for name in session.experiment.split.names:
        if name not in lacking:
            yield ok(f"variant {name}", "variantReady", variant=name)
        else:
            facts = {"variant": name, "detail": lacking[name]}
            yield error(f"variant {name}", "variantNotReady", **facts)


def _collector(session: Session) -> Iterator[Check]:
    """Whether feedback is taken; of the local stack `_processes` tells."""
    if session.state_dir is not None or not is_made(session.experiment):
        return
    try:
        served = serving(session.world, session.objects, COLLECTS)
    except ClusterError as why:
        yield failed("collector", why)
        return
    if served is None:
        return
    if served is True:
        yield ok("collector", "collectorReady")
    else:
        yield error("collector", "collectorNotReady", detail=str(served))
