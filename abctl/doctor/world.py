"""Is the experiment where it should be, may abctl work on it, and can every variant answer?

The cluster itself says what one may do there, action by action.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from abctl.cluster import KubeClient
from abctl.core.change import Ref
from abctl.core.ledger import ledger_ref
from abctl.doctor.check import Check, Doing, error, failed, ok, warning
from abctl.errors import ClusterError, NoPlaceError, NotFoundError, UnreachableError
from abctl.local import disk, stack
from abctl.session.session import Session, State
from abctl.session.tree import unable

_EACH = ("get", "create", "patch", "delete")


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


def deeds(target: Ref, ledger: Ref, made: Iterable[Ref]) -> list[Deed]:
    """What there is to do, the least first.

    Args:
        target: what carries the split.
        ledger: the ConfigMap of the ledger: its first entry is a POST, every other one a PUT.
        made: the objects that abctl makes; none that abctl did not create.
    """
    look = Deed("look", [("get", target), ("get", ledger)])
    shift = Deed("shift", [("patch", target), ("create", ledger), ("update", ledger)])
    apply = [(verb, ref) for ref in made for verb in _EACH]
    return [look, shift, *([Deed("apply", [*apply, ("delete", ledger)])] if apply else [])]


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
    where = " and in ".join(sorted({ref.namespace for d in needed for _, ref in d.takes}))
    hint = f"ask for a Role in {where} that allows it"
    if refused["look"]:
        return error("permissions", "notPermitted", hint=hint, **facts)
    if refused["shift"] or (facts["may_not"] and not there):
        return warning("permissions", "notPermitted", hint=hint, **facts)
    return ok("permissions", "permitted", **facts)


def examine(session: Session, doing: Doing) -> Iterator[Check]:
    """Reachable, installed, permitted, present, consistent, ready; in this order."""
    doing(f"reading {session.words}")
    target = session.target
    there = True
    try:
        session.world.get(target)
    except UnreachableError as why:
        yield failed("world", why)
        return
    except ClusterError:
        there = False  # it answers; what it says is looked at below
    if session.state_dir is None:
        yield ok("world", "answers", place=session.words)
        made = session.objects
        doing("checking your permissions there")
        yield _permissions_of(session, target, list(map(Ref.of, made)), there=there)
        yield from _objects(session, list(dict.fromkeys([*map(Ref.of, made), target])))
    else:
        yield from _processes(session)
    doing("reading the split and the variants")
    try:
        seen = session.observe()
    except NotFoundError as why:
        yield failed("split", why, "warning")
    except ClusterError as why:
        yield failed("split", why)
    else:
        recorded = ok("split", "splitAsRecorded", split=seen.asked.ratios)
        yield from list(_split(session, seen)) or [recorded]
    yield from _variants(session)


def _permissions_of(session: Session, target: Ref, made: Sequence[Ref], *, there: bool) -> Check:
    needed = deeds(target, ledger_ref(session.experiment), made)
    try:
        return check(session.world, needed, there=there)
    except ClusterError as why:
        return failed("permissions", why)


def _objects(session: Session, refs: Sequence[Ref]) -> Iterator[Check]:
    present, absent, hidden = list[Ref](), list[Ref](), list[Ref]()
    wrong = dict[str, Check]()
    for ref in refs:
        try:
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
        hint, missing = f"abctl apply {session.word}", list(map(str, absent))
        yield warning(
            "objects", "objectsMissing", missing=missing, unreadable=unreadable, hint=hint
        )
    elif not wrong:
        there = list(map(str, present))
        yield ok("objects", "objectsPresent", present=there, unreadable=unreadable)


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
        hint = "free space there: evidence that cannot be written is lost"
        yield error("disk", "diskFull", detail=full, hint=hint)
    try:
        dead = stack.read(state).dead
    except NotFoundError as why:
        yield failed("processes", why)
        return
    if dead:
        ended = {process.name: process.ending for process in dead}
        hint = f"abctl local logs --state {state} --process {dead[-1].name} says why"
        yield error("processes", "processesEnded", ended=ended, hint=hint)
    else:
        yield ok("processes", "processesRun")


def _split(session: Session, seen: State) -> Iterator[Check]:
    """Whatever is wrong with the split, or open."""
    split = seen.asked.ratios
    if refusal := seen.refusal:
        hint = f"abctl status {session.word}"
        yield error("split", "splitNotInEffect", split=split, detail=refusal, hint=hint)
    if seen.other_variants:
        # Without a file there is no plan that could have changed, nor an analysis.
        told = warning if session.adopted else error
        yield told("split", "variantsDiffer", detail=seen.other_variants, hint=seen.remedy)
    elif seen.drifted:
        recorded, hint = seen.ledger.desired, "the next abctl shift enters it into the ledger"
        ledger_split = None if recorded is None else recorded.ratios
        yield warning(
            "split", "splitSetElsewhere", split=split, ledger_split=ledger_split, hint=hint
        )
    elif intent := seen.ledger.intent:
        hint = f"abctl shift {session.word} {intent.after.short} finishes it"
        if intent.before:
            hint += f", abctl shift {session.word} {intent.before.short} reverts it"
        facts = {"actor": intent.actor, "split": intent.after.ratios}
        yield warning("split", "shiftUnfinished", hint=hint, **facts)
    if seen.unseen:
        hint = "allow get pods/proxy, or let a change settle for 2m (design.settle)"
        yield warning("split", "effectUnknown", split=split, detail=seen.unseen, hint=hint)


def _variants(session: Session) -> Iterator[Check]:
    lacking = unable(session)
    for name in session.experiment.split.names:
        if name not in lacking:
            yield ok(f"variant {name}", "variantReady", variant=name)
        else:
            hint = "a variant that is not ready never gets more requests"
            facts = {"variant": name, "detail": lacking[name]}
            yield error(f"variant {name}", "variantNotReady", hint=hint, **facts)
