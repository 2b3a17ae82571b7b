"""Seldon Core 2: an Experiment over one Model for each variant.

Every request is drawn anew; a client that sends back the answer's `x-seldon-route` keeps its
variant, but which one cannot be predicted. The Models run in a shared server, so only
Seldon's own metrics tell variants apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from abctl import platforms
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Variant
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.platforms import Capabilities, Misfit, _fit, _weighted
from abctl.platforms._workload import head, named

CAPABILITIES = Capabilities(
    parts=10_000,
    sticky=False,
    override=False,
    cohorts=False,
    shadow=True,
    max_variants=None,
    reports="conditions",
    images=False,
    control=lambda obj: _default(obj),  # noqa: PLW0108 - it is defined below
    grpc=_fit.always,
)
_API = "mlops.seldon.io/v1alpha1"
_READY = ("CandidatesReady", "ExperimentReady")
_MOST = 100

baseline = _fit.no_baseline

Json = dict[str, Any]


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment Seldon Core 2 cannot express."""
    return [*_fit.misfits("seldon2", CAPABILITIES, experiment), *_models(experiment)]


def _models(experiment: Experiment) -> Iterator[Misfit]:
    for place, variant in _fit.served(experiment):
        if not variant.model.uri:
            message = "is missing, seldon2 loads models from there"
            hint = "uri and format of the stored model; seldon and kserve run images"
            yield Misfit((*place, "model", "uri"), message, hint)
        yield from _fit.without_format(place, variant)


def target(experiment: Experiment) -> Ref:
    """The Experiment."""
    return Ref(_API, "Experiment", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """A Model for each variant and for the shadow, and the Experiment over them.

    Requests with the header `seldon-model: <name>.experiment` are split, and those for the
    control's Model too, as it is the default.

    Raises:
        SpecError: Seldon Core 2 cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    names = experiment.split.names
    stand_ins = {name: named(experiment, name) for name in names}
    carrier = _weighted.noted(head(target(experiment), experiment), stand_ins)
    carrier["spec"] = {
        "default": named(experiment, names[0]),
        "candidates": [
            {"name": named(experiment, name), "weight": experiment.split[name]} for name in names
        ],
        "resourceType": "model",
    }
    if shadow := experiment.shadow:
        mirror = {"name": named(experiment, shadow.name), "percent": shadow.percent}
        carrier["spec"]["mirror"] = mirror
    return [*(_model(experiment, variant) for variant in experiment.served), carrier]


def _model(experiment: Experiment, variant: Variant) -> Json:
    ref = Ref(_API, "Model", experiment.namespace, named(experiment, variant.name))
    model = variant.model
    spec = {"storageUri": model.uri, "requirements": [model.format]}
    return {**head(ref, experiment, variant.name), "spec": spec}


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights; default and mirror stay.

    Raises:
        SpecError: other variants than the candidates.
        ClusterError: no candidates.
    """
    _weighted.require_fit(obj, _names(obj), split, CAPABILITIES.parts)
    if split == split_of(obj):
        return deepcopy(dict(obj))
    return _written(obj, split)


def _written(obj: Object, split: Split) -> Object:
    after: Json = deepcopy(dict(obj))
    for name, candidate in zip(_names(obj), _candidates(after), strict=True):
        candidate["weight"] = split[name]
    return after


def mended(obj: Object) -> Object:
    """A copy in which the first candidate has everything.

    Raises:
        ClusterError: no candidates.
    """
    return _written(obj, _weighted.back(_names(obj)))


def split_of(obj: Object) -> Split:
    """The candidates' weights, by proportion.

    Raises:
        ClusterError: no candidates, or all weights are zero.
    """
    weights = [candidate.get("weight", 0) for candidate in _candidates(obj)]
    return _weighted.split_of(obj, _names(obj), weights)


def programmed(_: Object) -> None:
    """Never known: the status has no word on the generation of the object that it speaks of."""


def refusal(obj: Object) -> str | None:
    """What Seldon's scheduler complains of."""
    wanted = (*_READY, "MirrorReady") if obj.get("spec", {}).get("mirror") else _READY
    return platforms.complaint(obj, *wanted)


def upstreams(obj: Object) -> Mapping[str, Sequence[str]]:
    """The candidates, as the metrics call Models."""
    return {
        name: (candidate["name"],)
        for name, candidate in zip(_names(obj), _candidates(obj), strict=True)
    }


def objections(obj: Object) -> tuple[str, ...]:
    """Why Seldon's scheduler would refuse an Experiment; it has no webhook."""
    return tuple(_objections(obj)) if obj["kind"] == "Experiment" else ()


def _objections(obj: Object) -> Iterator[str]:
    spec = obj.get("spec", {})
    names = [candidate["name"] for candidate in spec.get("candidates") or ()]
    mirror = spec.get("mirror")
    if not names:
        yield "no candidates"
    if spec.get("default") and spec["default"] not in names:
        yield f"default {spec['default']} is not a candidate"
    every = [*names, mirror["name"]] if mirror else names
    for twice in dict.fromkeys(name for name in every if every.count(name) > 1):
        yield f"{twice} comes more than once among candidates and mirror"
    if mirror and not 0 <= mirror["percent"] <= _MOST:
        yield f"mirror percent {mirror['percent']}, must be from 0 to 100"


def _default(obj: Object) -> str | None:
    """The candidate that requests for no Experiment get."""
    default = obj.get("spec", {}).get("default")
    targets = [candidate["name"] for candidate in _candidates(obj)]
    return _names(obj)[targets.index(default)] if default in targets else None


def _candidates(obj: Object) -> list[Json]:
    candidates: list[Json] = obj.get("spec", {}).get("candidates") or []
    if not candidates:
        raise ClusterError(
            f"{Ref.of(obj)}: no candidates, so there is no split", "name one with spec.candidates"
        )
    return candidates


def _names(obj: Object) -> list[str]:
    return _weighted.behind(obj, [candidate["name"] for candidate in _candidates(obj)])
