"""flagset: flagd's own JSON of flags, in a ConfigMap or in a file, whose flag carries the split.

flagd watches the file, or the mounted ConfigMap, and takes what is new within seconds. Other flags
of the text, its order and its spaces are whoever's they were.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from abctl.core import json_text
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import LEDGER_PREFIX
from abctl.core.split import Split
from abctl.core.template import Templates
from abctl.errors import ClusterError
from abctl.platforms import Misfit, _collector, _fit, _flag_rules, _workload, flagd


def _others(obj: Object) -> list[str]:
    """The keys and flags that are not the experiment's; of a file they stay where they are."""
    own, _, flags = _find(obj)
    return [*(key for key in obj["data"] if key != own), *_flag_rules.others(obj, flags)]


CAPABILITIES = replace(
    flagd.CAPABILITIES,
    file=True,
    services=lambda experiment, obj: (
        {} if experiment.flag_file else _workload.services(experiment, obj)
    ),
    besides=_others,
    control=lambda obj: _flag_rules.default(obj, _find(obj)[2]),
)
KEY = "flags.flagd.json"
_HINT = (
    'a key of its data must hold {"flags": {...}} as flagd reads it, in JSON; the ConfigMap of a '
    "proxy is called NAME-envoy or NAME-nginx"
)

baseline = _fit.no_baseline
upstreams = _fit.no_upstreams
programmed = flagd.programmed


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment a flag of flagd cannot express."""
    return [
        *_fit.misfits("flagset", CAPABILITIES, experiment),
        *(_beside_a_file(experiment) or _workload.unserved(experiment, "flagset")),
        *_flag_rules.unit(experiment),
        *_name(experiment),
    ]


def _name(experiment: Experiment) -> Iterator[Misfit]:
    if experiment.name.startswith(LEDGER_PREFIX):
        message = f"{experiment.name!r} could be a ledger: so are their ConfigMaps called"
        yield Misfit((), message, "another metadata.name")


def _beside_a_file(experiment: Experiment) -> list[Misfit]:
    """Whatever takes a cluster, where the flag is in a file of this machine."""
    if not experiment.flag_file:
        return []
    given: list[tuple[tuple[str | int, ...], object]] = [
        (("outcomes",), experiment.outcomes),
        (("log",), experiment.log),
        (("template",), experiment.templates != Templates()),
    ]
    for place, variant in _fit.served(experiment):
        model = variant.model
        given += [((*place, "model", key), getattr(model, key)) for key in ("image", "service")]
    message = "given, but abctl runs nothing beside flagFile"
    return [
        Misfit(place, message, "remove it: the application serves") for place, is_ in given if is_
    ]


def target(experiment: Experiment) -> Ref:
    """The ConfigMap, as which a file is seen too."""
    return Ref("v1", "ConfigMap", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """The variants' servers, and the ConfigMap with the flags; only that for a file.

    Raises:
        SpecError: flagd cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    carrier = _workload.head(target(experiment), experiment)
    flags = {"flags": {experiment.name: _flag_rules.flag(experiment)}}
    carrier["data"] = {KEY: f"{json_text.laid_out(flags)}\n"}
    if experiment.flag_file:
        return [carrier]
    return [
        *_collector.with_servers(experiment),
        carrier,
    ]


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in the text; no other character of it differs.

    Raises:
        SpecError: other variants, or a treatment that is too large for its region.
        ClusterError: no flag splits, or several.
    """
    key, text, flags = _find(obj)
    return _with(obj, key, text, _flag_rules.weights(obj, flags, split))


def mended(obj: Object) -> Object:
    """A copy in which one variant of the flag that splits has everything.

    Raises:
        ClusterError: no flag splits between named variants, or several.
    """
    key, text, flags = _find(obj)
    return _with(obj, key, text, _flag_rules.mended(obj, flags))


def _with(obj: Object, key: str, text: str, weights: Mapping[tuple[str | int, ...], int]) -> Object:
    after = json_text.replaced(text, {("flags", *place): n for place, n in weights.items()})
    return {**obj, "data": {**obj["data"], key: after}}


def split_of(obj: Object) -> Split:
    """The weights of the flag that splits, by proportion.

    Raises:
        ClusterError: no flag splits, or several.
    """
    return _flag_rules.split_of(obj, _find(obj)[2])


def refusal(obj: Object) -> str | None:
    """That the flag is switched off."""
    return _flag_rules.refusal(obj, _find(obj)[2])


def objections(obj: Object) -> tuple[str, ...]:
    """Variants that a flag names and does not have."""
    return tuple(_flag_rules.objections(obj, _find(obj)[2])) if _is_target(obj) else ()


def _is_target(obj: Object) -> bool:
    return obj["kind"] == "ConfigMap" and any(True for _ in _sets(obj))


def _sets(obj: Object) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each key of the data that holds flags: its name, its text and the flags."""
    for key, text in (obj.get("data") or {}).items():
        try:
            found = json_text.parse(text)
        except ValueError:
            continue
        flags = found.get("flags") if isinstance(found, Mapping) else None
        if isinstance(flags, Mapping) and all(isinstance(each, Mapping) for each in flags.values()):
            yield key, text, flags


def _find(obj: Object) -> tuple[str, str, Mapping[str, Any]]:
    """The one of them that splits."""
    there = list(_sets(obj))
    found = [each for each in there if _flag_rules.splitting(each[2])]
    own = [each for each in found if Ref.of(obj).name in _flag_rules.splitting(each[2])]
    if len(own or found or there) != 1:
        which = ", ".join(key for key, _, _ in own or found or there) or "none"
        raise ClusterError(f"{Ref.of(obj)}: must have one key with flags ({which})", _HINT)
    return (own or found or there)[0]
