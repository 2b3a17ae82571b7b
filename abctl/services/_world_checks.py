"""Is the experiment where it should be, may abctl work on it, and can every variant answer?"""

from collections.abc import Iterator, Sequence

from abctl.core.change import Ref
from abctl.core.epochs import ledger_ref
from abctl.errors import ClusterError, NoPlaceError, NotFoundError, UnreachableError
from abctl.services.checks import Check, error, ok, warning
from abctl.services.look import Look, look
from abctl.services.place import Place

# What applying, shifting and ending an experiment takes.
_VERBS = ("get", "create", "patch", "delete")


def examine(place: Place) -> Iterator[Check]:
    """Reachable, installed, permitted, present, consistent, ready; in this order."""
    target = place.platform.target(place.experiment)
    try:
        place.door.get(target)
    except UnreachableError as failed:
        yield error("world", failed.message, failed.hint)
        return
    except ClusterError:
        pass  # it answers; what it says is looked at below
    yield ok("world", f"{place.words} answers")
    if place.state is None:
        made = [] if place.adopted else place.platform.objects(place.experiment)
        refs = list(dict.fromkeys([*map(Ref.of, made), target]))
        yield _permissions(place, refs)
        yield from _objects(place, refs)
    try:
        seen = look(place.door, place.platform, place.experiment)
    except NotFoundError as failed:
        yield warning("split", failed.message, failed.hint)
    except ClusterError as failed:
        yield error("split", failed.message, failed.hint)
    else:
        yield _split(place, seen)
    for variant in place.experiment.split.names:
        yield _ready(place, variant)


def _permissions(place: Place, refs: Sequence[Ref]) -> Check:
    kinds = {(ref.api_version, ref.kind): ref for ref in refs}
    if not place.adopted:
        ledger = ledger_ref(place.experiment)
        kinds[ledger.api_version, ledger.kind] = ledger
    try:
        refused = [
            f"{verb} {ref.kind}"
            for ref in kinds.values()
            for verb in (("get", "patch") if place.adopted else _VERBS)
            if not place.door.may(verb, ref)
        ]
    except ClusterError as failed:
        return error("permissions", failed.message, failed.hint)
    if refused:
        hint = "k8s/base/namespace/rbac.yaml is the least that abctl needs"
        return error("permissions", f"you may not {', '.join(refused)}", hint)
    return ok("permissions", f"all that it takes on {', '.join(kind for _, kind in kinds)}")


def _objects(place: Place, refs: Sequence[Ref]) -> Iterator[Check]:
    absent = list[Ref]()
    wrong = dict[str, Check]()
    for ref in refs:
        try:
            place.door.get(ref)
        except ClusterError as failed:
            # What an apply would not bring: a kind that is not installed, no namespace, no right.
            if isinstance(failed, NoPlaceError) or not isinstance(failed, NotFoundError):
                wrong[ref.kind] = error(f"objects: {ref.kind}", failed.message, failed.hint)
            else:
                absent.append(ref)
    yield from wrong.values()
    if absent:
        yield warning("objects", f"not there: {', '.join(map(str, absent))}", "abctl apply FILE")
    elif not wrong:
        yield ok("objects", f"{', '.join(map(str, refs))}")


def _split(place: Place, seen: Look) -> Check:
    if refusal := place.platform.refusal(seen.carrier):
        return error("split", f"{seen.asked} is not in effect: {refusal}", "abctl status")
    if seen.drifted:
        message = f"{seen.asked} was set by somebody else, the ledger has {seen.ledger.desired}"
        return warning("split", message, "the next abctl shift enters it into the ledger")
    if intent := seen.ledger.intent:
        message = f"{intent.actor} began to shift to {intent.after}, and it is not finished"
        return warning("split", message, f"abctl shift FILE --to {intent.after}")
    if seen.unseen:
        message = f"{seen.asked}, but whether it is in effect nobody can tell: {seen.unseen}"
        hint = "allow get pods/proxy, or let a change settle for 2m (design.settle)"
        return warning("split", message, hint)
    return ok("split", f"{seen.asked}, as the ledger has it")


def _ready(place: Place, variant: str) -> Check:
    try:
        found = place.ready(variant)
    except ClusterError as failed:
        return error(f"variant {variant}", failed.message, failed.hint)
    if found is True:
        return ok(f"variant {variant}", "ready")
    hint = "a variant that is not ready never gets more requests"
    return error(f"variant {variant}", str(found or "not ready"), hint)
