"""flagd: a FeatureFlag of OpenFeature's operator, whose rule `fractional` carries the split.

The application asks the flag by an SDK of OpenFeature, and sends the request to the Service of the
variant that it is told. Every user keeps their variant, by the hash of flagd, of which there are
two (`assignment.hash`).
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import (
    Capabilities,
    Misfit,
    _collector,
    _fit,
    _flag_hashes,
    _flag_rules,
    _workload,
)

CAPABILITIES = Capabilities(
    parts=_flag_rules.PARTS,
    sticky=True,
    override=False,
    cohorts=False,
    shadow=False,
    max_variants=None,
    draw=_flag_hashes.flagd,
    hashes=("flagd", "flagd-cbor"),
    besides=lambda obj: _flag_rules.others(obj, _flags(obj)),
    services=_workload.services,
    control=lambda obj: _flag_rules.default(obj, _flags(obj)),
    grpc=_fit.always,
)
_API = "core.openfeature.dev/v1beta1"

baseline = _fit.no_baseline
upstreams = _fit.no_upstreams


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment a flag of flagd cannot express."""
    return [
        *_fit.misfits("flagd", CAPABILITIES, experiment),
        *_workload.unserved(experiment, "flagd"),
        *_flag_rules.unit(experiment),
    ]


def target(experiment: Experiment) -> Ref:
    """The FeatureFlag."""
    return Ref(_API, "FeatureFlag", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """The variants' servers, and the FeatureFlag with a flag of the experiment's name.

    Raises:
        SpecError: flagd cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    carrier = _workload.head(target(experiment), experiment)
    carrier["spec"] = {"flagSpec": {"flags": {experiment.name: _flag_rules.flag(experiment)}}}
    return [
        *_collector.with_servers(experiment),
        carrier,
    ]


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in the flag that splits.

    Raises:
        SpecError: other variants, or a treatment that is too large for its region.
        ClusterError: no flag splits, or several.
    """
    return _with(obj, _flag_rules.weights(obj, _flags(obj), split))


def mended(obj: Object) -> Object:
    """A copy in which one variant of the flag that splits has everything.

    Raises:
        ClusterError: no flag splits between named variants, or several.
    """
    return _with(obj, _flag_rules.mended(obj, _flags(obj)))


def _with(obj: Object, weights: Mapping[_flag_rules.Place, int]) -> Object:
    after: dict[str, Any] = deepcopy(dict(obj))
    for (*outer, last), weight in weights.items():
        part: Any = _flags(after)
        for step in outer:
            part = part[step]
        part[last:] = [weight]
    return after


def split_of(obj: Object) -> Split:
    """The weights of the flag that splits, by proportion.

    Raises:
        ClusterError: no flag splits, or several.
    """
    return _flag_rules.split_of(obj, _flags(obj))


def programmed(obj: Object) -> Split | None:  # noqa: ARG001 - the protocol's
    """Nothing: no evaluator tells the cluster what it has."""
    return None


def refusal(obj: Object) -> str | None:
    """That the flag is switched off."""
    return _flag_rules.refusal(obj, _flags(obj))


def objections(obj: Object) -> tuple[str, ...]:
    """Variants that a flag names and does not have."""
    return tuple(_flag_rules.objections(obj, _flags(obj))) if obj["kind"] == "FeatureFlag" else ()


def _flags(obj: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (obj.get("spec") or {}).get("flagSpec", {}).get("flags") or {}
    return found
