"""What of an experiment a plan locks, and whether that is still what it was."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any

from abctl.core.experiment import Experiment

# What may change while the experiment runs: the split does by shifts, the source is only read;
# templates say how pods run, and a log what is kept beside, not what is compared.
NOT_LOCKED = frozenset(
    ["split", "source", "written", "meaning", "template", "templates", "proxy", "log"]
)
# What the ledger's address says; everything else is a part of the file's spec.
_OF_ADDRESS = frozenset(("name", "namespace"))


def written_alike(part: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a part of two specs is written the same; who has the file changes nothing."""
    first, *rest = part.split("_")
    key = first + "".join(map(str.capitalize, rest))  # as the file has it
    return part not in _OF_ADDRESS and then.get(key) == locked_words(now).get(key)


def meant(plan: Mapping[str, Any], experiment: Experiment) -> Experiment:
    """What a file meant when a plan was locked, where the plan has no words of the file.

    So are those of the first abctl. Of what a file leaves out only this has another default since.
    """
    design = (experiment.written or {}).get("design") or {}
    if "format" in plan or experiment.written is None or "test" in design:
        return experiment
    return replace(experiment, design=replace(experiment.design, test="sequential"))


def locked_words(written: Mapping[str, Any]) -> dict[str, Any]:
    """What is locked of a spec as somebody wrote it: without the first split, and the source."""
    kept = {key: value for key, value in written.items() if key not in NOT_LOCKED}
    if isinstance(variants := kept.get("variants"), list):
        kept["variants"] = [locked_words(each) for each in variants]
    if isinstance(shadow := kept.get("shadow"), Mapping):
        kept["shadow"] = locked_words(shadow)
    return kept


def differs(each: "Field[Any]", owner: Any, locked: Mapping[str, Any]) -> bool:
    """Whether a field is not as it was locked.

    A plan of before lacks what was not there yet. Such a field is the same as long as it is left
    out: then the plan's own meaning holds.
    """
    value = getattr(owner, each.name)
    if each.name in locked:
        return _unlike(value, locked[each.name])
    if each.default_factory is not MISSING:
        return bool(value != each.default_factory())
    return bool(value != each.default)


def _unlike(value: Any, locked: Any) -> bool:
    if is_dataclass(value) and isinstance(locked, Mapping):
        return any(differs(each, value, locked) for each in fields(value))
    if isinstance(value, tuple) and isinstance(locked, list):
        pairs = zip(value, locked, strict=False)
        return len(value) != len(locked) or any(_unlike(*pair) for pair in pairs)
    return bool(value != locked)
