"""What one may do to an experiment in a cluster, by the cluster's own word: deed by deed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from abctl.cluster import Door
from abctl.core.change import Ref
from abctl.services.checks import Check, error, ok, warning

_EACH = ("get", "create", "patch", "delete")


@dataclass(frozen=True)
class Deed:
    """Something that commands do, and the requests that it takes."""

    name: str
    takes: Sequence[tuple[str, Ref]]

    def refused(self, door: Door) -> list[str]:
        """What one may not do of it: `create/patch HTTPRoute`, once for each kind.

        Raises:
            ClusterError: it cannot be asked, or does not know a kind.
        """
        once = {(verb, ref.api_version, ref.kind): ref for verb, ref in self.takes}
        verbs: dict[str, list[str]] = {}
        for (verb, _, kind), ref in once.items():
            if not door.may(verb, ref):
                verbs.setdefault(kind, []).append(verb)
        return [f"{'/'.join(each)} {kind}" for kind, each in verbs.items()]


def deeds(target: Ref, ledger: Ref, made: Iterable[Ref]) -> list[Deed]:
    """What there is to do, the least first.

    Args:
        target: what carries the split.
        ledger: the ConfigMap of the ledger: its first entry is a POST, every other one a PUT.
        made: the objects that abctl makes; none of what somebody else has made.
    """
    look = Deed("look", [("get", target), ("get", ledger)])
    shift = Deed("shift", [("patch", target), ("create", ledger), ("update", ledger)])
    apply = [(verb, ref) for ref in made for verb in _EACH]
    return [look, shift, *([Deed("apply", [*apply, ("delete", ledger)])] if apply else [])]


def check(door: Door, needed: Sequence[Deed], *, there: bool) -> Check:
    """Which of them one may do; an account may well be meant for less than all.

    Args:
        door: to the cluster.
        needed: what there is to do, the least first.
        there: whether the experiment was applied already, so that nobody need do that.

    Raises:
        ClusterError: as of `Deed.refused`.
    """
    refused = {deed.name: deed.refused(door) for deed in needed}
    may = [name for name, lacking in refused.items() if not lacking]
    said = [", ".join(may)] if may else []
    said += [f"not {name} ({', '.join(lacking)})" for name, lacking in refused.items() if lacking]
    words = f"you may {'; '.join(said)}"
    where = " and in ".join(sorted({ref.namespace for d in needed for _, ref in d.takes}))
    hint = f"ask for a Role in {where} that may do that"
    if refused["look"]:
        return error("permissions", words, hint)
    if refused["shift"] or (len(may) < len(refused) and not there):
        return warning("permissions", words, hint)
    return ok("permissions", words)
