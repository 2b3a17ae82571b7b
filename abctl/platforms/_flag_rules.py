"""The part of flagd's flags that splits: `fractional`, a list of variants with weights.

flagd gives a unit the first variant whose cumulated weight exceeds its point. A variant may come
several times, so each treatment can have a region of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ClusterError
from abctl.platforms import Misfit, _weighted

Json = dict[str, Any]
Flags = Mapping[str, Any]
Place = tuple[str | int, ...]

PARTS = TOTAL_BP
# What the SDKs of OpenFeature call the id of the unit.
_UNIT = {"var": "targetingKey"}
_HINT = "a rule of flagd that splits: {fractional: [[control, 90], [treatment, 10]]}"


def unit(experiment: Experiment) -> Iterator[Misfit]:
    """Refuse requests as units, which have no hash of their own."""
    if experiment.assignment.unit == "request":
        message = "request, but a flag places by the targetingKey, which names a user"
        yield Misfit(("assignment", "unit"), message, "unit: user")


def flag(experiment: Experiment) -> Json:
    """The flag that splits as the experiment starts.

    Whoever names no unit gets the default with reason DEFAULT: all of them would have one hash.
    """
    split = experiment.split
    names = _weighted.places(split.names)
    weights = _weighted.weights_of(names, split, PARTS)
    unit = {"cat": [f"{experiment.assignment.salt}:", _UNIT]}
    parts = [[name, weight] for name, weight in zip(names, weights, strict=True)]
    return {
        "state": "ENABLED",
        "variants": {name: name for name in split.names},
        "defaultVariant": split.control,
        "targeting": {"if": [_UNIT, {"fractional": [unit, *parts]}]},
    }


def key_of(obj: Object, flags: Flags) -> str:
    """Which of the flags splits: the one that is called as the object, or the only one.

    Raises:
        ClusterError: none of them, several, or one that does so at several places.
    """
    found, own = splitting(flags), Ref.of(obj).name
    if own in found:
        found = {own: found[own]}
    if len(found) != 1:
        which = ", ".join(found) or "none"
        hint = f"call the one that is meant {own}" if found else _HINT
        raise ClusterError(f"{Ref.of(obj)}: must have one flag that splits ({which})", hint)
    ((key, places),) = found.items()
    if places > 1:
        message = f"{Ref.of(obj)}: flag {key} splits at {places} places of its rule"
        raise ClusterError(message, "abctl shifts one: leave fractional in one place")
    return key


def splitting(flags: Flags) -> dict[str, int]:
    """The flags that split, and at how many places each."""
    found = {key: len(list(_fractional(each))) for key, each in flags.items()}
    return {key: places for key, places in found.items() if places}


def _fractional(rule: Any, at: Place = ()) -> Iterator[tuple[Place, list[Any]]]:
    """Each list of variants that a rule of JsonLogic has, and what leads to it."""
    if isinstance(rule, Mapping):
        for name, inside in rule.items():
            if name == "fractional" and isinstance(inside, list):
                yield (*at, name), inside
            else:
                yield from _fractional(inside, (*at, name))
    elif isinstance(rule, list):
        for i, each in enumerate(rule):
            yield from _fractional(each, (*at, i))


def _named(obj: Object, flags: Flags) -> dict[Place, list[Any]]:
    """Variants of the flag that splits, and what stands after each, by places in the flags."""
    key = key_of(obj, flags)
    ((at, inside),) = _fractional(flags[key], (key,))
    # Before the variants may stand what is hashed.
    parts: dict[Place, Any] = {
        (*at, i): each for i, each in enumerate(inside) if i or isinstance(each, list)
    }
    for part in parts.values():
        if not (isinstance(part, list) and part and isinstance(part[0], str)):
            raise _strange(obj, key, part)
    if not parts:
        raise ClusterError(f"{Ref.of(obj)}: flag {key} has an empty fractional", _HINT)
    return parts


def _strange(obj: Object, key: str, part: Any) -> ClusterError:
    message = f"{Ref.of(obj)}: flag {key} has {part!r} in fractional"
    return ClusterError(message, "abctl reads names and whole weights: [control, 90]")


def _parts(obj: Object, flags: Flags) -> dict[Place, list[Any]]:
    """Variants and weights of the flag that splits, by their places in the flags."""
    parts = _named(obj, flags)
    for part in parts.values():
        if not all(isinstance(weight, int) for weight in part[1:]):
            raise _strange(obj, key_of(obj, flags), part)
    return parts


def split_of(obj: Object, flags: Flags) -> Split:
    """The split of the flag, by proportion; what has no weight has 1.

    Raises:
        ClusterError: no flag splits, or not between named variants.
    """
    parts = list(_parts(obj, flags).values())
    weights = [part[1] if len(part) > 1 else 1 for part in parts]
    return _weighted.split_of(obj, [part[0] for part in parts], weights)


def weights(obj: Object, flags: Flags, split: Split) -> dict[Place, int]:
    """The weights of another split, by their places in the flags; none where it is the same.

    Raises:
        SpecError: other variants, or shares that the list cannot hold.
        ClusterError: no flag splits.
    """
    parts, asked = _parts(obj, flags), split_of(obj, flags)
    names = [part[0] for part in parts.values()]
    _weighted.require_fit(obj, names, split, PARTS)
    return {} if split == asked else _weights(parts, split)


def mended(obj: Object, flags: Flags) -> dict[Place, int]:
    """The weights that give everything to the first variant, whatever they are now.

    Raises:
        ClusterError: no flag splits between named variants.
    """
    parts = _named(obj, flags)
    return _weights(parts, _weighted.back([part[0] for part in parts.values()]))


def _weights(parts: Mapping[Place, list[Any]], split: Split) -> dict[Place, int]:
    found = _weighted.weights_of([part[0] for part in parts.values()], split, PARTS)
    return {(*place, 1): weight for place, weight in zip(parts, found, strict=True)}


def others(obj: Object, flags: Flags) -> list[str]:
    """The flags beside the one that splits."""
    own = key_of(obj, flags)
    return [f"flag {key}" for key in flags if key != own]


def default(obj: Object, flags: Flags) -> str | None:
    """The variant that requests outside of the rule get, where the split has it."""
    found = flags[key_of(obj, flags)].get("defaultVariant")
    return found if found in [part[0] for part in _named(obj, flags).values()] else None


def refusal(obj: Object, flags: Flags) -> str | None:
    """Why nobody follows the flag."""
    key = key_of(obj, flags)
    state = flags[key].get("state")
    if state == "ENABLED":
        return None
    return f"flag {key} is {state}: every application takes the default of its code"


def objections(obj: Object, flags: Flags) -> Iterator[str]:
    """What an evaluator would stumble over at every request."""
    for key, each in flags.items():
        known = each.get("variants") or {}
        asked: Sequence[Any] = [
            part[0]
            for _, inside in _fractional(each)
            for part in inside
            if isinstance(part, list) and part
        ]
        for name in dict.fromkeys([each.get("defaultVariant"), *asked]):
            if isinstance(name, str) and name not in known:
                yield f"{Ref.of(obj)}: flag {key} has no variant {name}"
