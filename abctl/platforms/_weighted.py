"""Weights as a split, and a split as weights.

Data planes take weights by proportion: 1 and 3 are 25% and 75%. What is written has a fixed total.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from typing import Any

from abctl.core.assignment import regions
from abctl.core.change import Object, Ref
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.errors import ClusterError, SpecError
from abctl.platforms._fit import able

_VARIANTS = "abctl.dev/variants"
SPLIT, SPLIT_GRPC = "split", "split-grpc"


def split_of(obj: Object, names: Sequence[str], weights: Sequence[Any]) -> Split:
    """Weights in the order of the object's list, in which a name may come more than once.

    Raises:
        ClusterError: no split, as a weight is no whole number or negative, or all are zero.
    """
    known = variants_of(names)
    if len(known) < len(names) and list(names) != places(known):
        raise ClusterError(
            f"{Ref.of(obj)}: {', '.join(names)}: duplicate names",
            "a split needs different names: rename one of them in the object",
        )
    total = sum(map(whole, weights))
    if total <= 0 or not all(map(is_weight, weights)):
        raise ClusterError(
            f"{Ref.of(obj)}: the weights {list(weights)} are not a split",
            "set them in the object: 0 or more, and one of them above 0; or abctl rollback",
        )
    exact = dict.fromkeys(known, 0.0)
    for name, weight in zip(names, weights, strict=True):
        exact[name] += weight * TOTAL_BP / total
    # By the largest remainder: what basis points cannot say still sums to the whole.
    rounded = {name: int(share) for name, share in exact.items()}
    missing = TOTAL_BP - sum(rounded.values())
    for name in sorted(exact, key=lambda n: rounded[n] - exact[n])[:missing]:
        rounded[name] += 1
    return Split(tuple(rounded), tuple(rounded.values()))


def is_weight(given: Any) -> bool:
    """Whether it is a whole number that is not negative: people write texts as well."""
    return isinstance(given, int) and not isinstance(given, bool) and given >= 0


def whole(given: Any) -> int:
    """A weight as a number; 0 for what is none."""
    return int(given) if is_weight(given) else 0


def back(names: Sequence[str]) -> Split:
    """Everything to the first variant: for a list whose own weights are no split."""
    known = variants_of(names)
    return Split(known, tuple(TOTAL_BP * (name == known[0]) for name in known))


def weights_of(names: Sequence[str], split: Split, parts: int) -> list[int]:
    """The weight of each place in a list whose order stays; their total is `parts`."""
    if len(names) == len(split.names):
        widths = [split[name] for name in names]
    elif TOTAL_BP in split.shares_bp:
        full = names.index(split.names[split.shares_bp.index(TOTAL_BP)])
        widths = [TOTAL_BP * (i == full) for i in range(len(names))]
    else:
        # As core.assignment.regions, but places of no width stay in the list.
        treatments = split.names[1:]
        starts = [i * TOTAL_BP // len(treatments) for i in range(len(treatments) + 1)]
        widths = []
        for treatment, (start, end) in zip(treatments, pairwise(starts), strict=True):
            widths += [split[treatment], end - start - split[treatment]]
    return [width * parts // TOTAL_BP for width in widths]


def places(variants: Sequence[str]) -> list[str]:
    """The order of the list in which a sticky data plane looks for a unit's variant.

    With several treatments, each has a region of its own and the control comes after each.
    """
    control, *treatments = variants
    if len(treatments) <= 1:  # it grows down from the top
        return list(variants)
    return [name for treatment in treatments for name in (treatment, control)]


def variants_of(names: Sequence[str]) -> tuple[str, ...]:
    """The variants in a list of places, the control first."""
    once = tuple(dict.fromkeys(names))
    return once if len(once) == len(names) else tuple(dict.fromkeys((names[1], *names)))


def require_fit(obj: Object, names: Sequence[str], split: Split, parts: int) -> None:
    """Refuse a split of other variants, or one that the object's list cannot hold.

    Raises:
        SpecError: other variants, another order, shares off the grain or over a region.
    """
    known = variants_of(names)
    if split.names != known:
        raise SpecError(
            f"split of {', '.join(split.names)}, but {Ref.of(obj)} is of {', '.join(known)}",
            "the variants and their order are fixed for the life of an experiment",
        )
    for name, share in zip(split.names, split.shares_bp, strict=True):
        if share * parts % TOTAL_BP:
            step = format_share(TOTAL_BP // parts)
            raise SpecError(
                f"{name} at {format_share(share)}: {Ref.of(obj)} supports steps of {step}",
                f"finer steps need another platform: {able(lambda can: can.parts > parts)}",
            )
    if len(names) > len(known):
        regions(split)


Rule = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """How the rules of a platform's routes are read.

    Attributes:
        words: what the platform calls a rule, and targets.
        targets: what a rule sends requests to; an empty list where that is no split.
        weights: of the targets, None where the rule has none.
        narrow: whether a rule is only for requests with certain headers, parameters or methods.
    """

    words: tuple[str, str]
    targets: Callable[[Rule], Sequence[str]]
    weights: Callable[[Rule], Sequence[Any]]
    narrow: Callable[[Rule], bool]

    def shares(self, rule: Rule) -> list[tuple[str, Any]]:
        """Each target with its weight, in an order that is not that of the rule.

        Weights are in their lowest terms, as 90 and 10 are the split of 9 and 1.
        """
        weights = list(self.weights(rule))
        given = [weight for weight in weights if is_weight(weight)]
        if len(given) == len(weights):  # what one that is missing counts, the platform says
            common = gcd(*given) or 1
            weights = [weight // common for weight in given]
        return sorted(zip(self.targets(rule), weights, strict=True), key=str)

    def weighted(self, rule: Rule) -> bool:
        """Whether it has weights; without them some platforms send to all targets alike."""
        return any(weight is not None for weight in self.weights(rule))

    def written(self, rule: Rule) -> bool:
        """Whether its weights sum as those that abctl writes: then it is the one of before."""
        return sum(map(whole, self.weights(rule))) == TOTAL_BP

    def open(self, rule: Rule) -> bool:
        """Whether several targets get requests; else it is a fixed route beside the split."""
        return len([weight for weight in self.weights(rule) if weight != 0]) > 1


def splitting(
    obj: Object, rules: Sequence[Rule], reading: Reading, *, alike: bool = True
) -> list[Rule]:
    """The rules of a route that carry the split: those called so, or those with several targets.

    Where they differ, those that have weights are meant; of them those that abctl has written
    before; or that give several targets a share; or that are not only for some requests.

    Args:
        obj: the route.
        rules: all of its rules.
        reading: how they are read.
        alike: whether their weights must be so.

    Raises:
        ClusterError: there are none, or they have different targets, or weights.
    """
    rule, several = reading.words
    found = [each for each in rules if _called_split(each) and reading.targets(each)]
    if not found:
        found = [each for each in rules if len(set(reading.targets(each))) > 1]
        kinds = (reading.weighted, reading.written, reading.open)
        for kept in (*kinds, lambda each: not reading.narrow(each)):
            if any(reading.shares(each) != reading.shares(found[0]) for each in found):
                found = [each for each in found if kept(each)] or found
    if not found:
        raise ClusterError(
            f"{Ref.of(obj)}: no {rule} has several {several}, so there is no split",
            f"name the object that splits, or give a {rule} of it a second one",
        )
    if any(sorted(reading.targets(each)) != sorted(reading.targets(found[0])) for each in found):
        raise ClusterError(
            f"{Ref.of(obj)}: several {rule}s split between different {several}",
            f"give the one that is meant `name: {SPLIT}`",
        )
    if alike and any(reading.shares(each) != reading.shares(found[0]) for each in found):
        raise ClusterError(
            f"{Ref.of(obj)}: {rule}s with the same {several} have different weights",
            f"make them alike, or give the one that is meant `name: {SPLIT}`",
        )
    return found


def _called_split(rule: Rule) -> bool:
    # One for each way that requests come in.
    return rule.get("name") in (SPLIT, SPLIT_GRPC)


def shortest(forms: Iterable[Sequence[str]]) -> list[str]:
    """What things are called: the first of their forms that tells apart what the last one does.

    >>> shortest([("iris", "a/iris"), ("iris", "b/iris")])
    ['a/iris', 'b/iris']
    """
    ways = list(zip(*forms, strict=True))
    return list(next((way for way in ways if len({*way}) == len({*ways[-1]})), ()))


def behind(obj: Object, targets: Sequence[str]) -> list[str]:
    """The variants behind targets, as `noted` on the object; otherwise what the targets are."""
    note = (obj["metadata"].get("annotations") or {}).get(_VARIANTS, "")
    pairs = [pair.partition("=") for pair in note.split(",")]
    variants = {target: variant for variant, _, target in pairs}
    return [variants.get(target, target) for target in targets]


def noted(obj: dict[str, Any], targets: Mapping[str, str]) -> dict[str, Any]:
    """A copy with a note of what stands for each variant, as the object itself cannot say it."""
    note = ",".join(f"{variant}={target}" for variant, target in targets.items())
    meta = obj["metadata"]
    annotations = {**meta.get("annotations", {}), _VARIANTS: note}
    return {**obj, "metadata": {**meta, "annotations": annotations}}
