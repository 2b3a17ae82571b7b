"""Weights as a split, and a split as weights.

Data planes take weights by proportion: 1 and 3 are 25% and 75%. What is written has a fixed total.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from abctl.core.assignment import regions
from abctl.core.change import Object, Ref
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.errors import ClusterError, SpecError
from abctl.platforms._fit import able

_VARIANTS = "abctl.dev/variants"
SPLIT = "split"


def split_of(obj: Object, names: Sequence[str], weights: Sequence[int]) -> Split:
    """Weights in the order of the object's list, in which a name may come more than once.

    Raises:
        ClusterError: no split, as a weight is negative or all are zero.
    """
    known = variants_of(names)
    if len(known) < len(names) and list(names) != places(known):
        raise ClusterError(
            f"{Ref.of(obj)}: {', '.join(names)}: duplicate names",
            "a split needs different names: rename one of them in the object",
        )
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ClusterError(
            f"{Ref.of(obj)}: the weights {list(weights)} are not a split",
            "set them in the object: 0 or more, and one of them above 0",
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


def splitting(
    obj: Object,
    rules: Sequence[dict[str, Any]],
    targets: Callable[[dict[str, Any]], Sequence[object]],
    words: tuple[str, str],
) -> list[dict[str, Any]]:
    """The rules of a route that carry the split: the one called so, or all with several targets.

    Args:
        obj: the route.
        rules: all of its rules.
        targets: what a rule sends requests to.
        words: what the platform calls a rule, and targets.

    Raises:
        ClusterError: there are none, or they have different targets.
    """
    rule, several = words
    found = [each for each in rules if each.get("name") == SPLIT and targets(each)]
    found = found or [each for each in rules if len(targets(each)) > 1]
    if not found:
        raise ClusterError(
            f"{Ref.of(obj)}: no {rule} has several {several}, so there is no split",
            f"name the object that splits, or give a {rule} of it a second one",
        )
    if any(targets(each) != targets(found[0]) for each in found):
        raise ClusterError(
            f"{Ref.of(obj)}: several {rule}s split between different {several}",
            f"give the one that is meant `name: {SPLIT}`",
        )
    return found


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
