"""Which preset an experiment is measured by, and what its platform calls the variants."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from abctl.cluster import Door
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Variant
from abctl.errors import NotFoundError, SourceError, SpecError
from abctl.platforms import platform
from abctl.sources import _presets
from abctl.sources._placeholders import Names
from abctl.sources._presets import Preset
from abctl.sources._telemetry import Telemetry

Upstreams = Mapping[str, Sequence[str]]


def preset_name(experiment: Experiment) -> str:
    """The preset of the file; else abctl's own, unless the platform loads or finds the models."""
    if experiment.source and experiment.source.preset:
        return experiment.source.preset
    models = [variant.model for variant in experiment.variants]
    foreign = any((m.uri or m.service) and not m.image for m in models)
    return _presets.of_platform(experiment.platform) if foreign else "abctl"


def telemetry(experiment: Experiment, door: Door | None = None) -> Telemetry:
    """What to ask a source for.

    Args:
        experiment: its variants, and its preset.
        door: to the platform's objects, which say what the metrics call a variant; without it,
            or before they are there, what the experiment renders to says it.

    Raises:
        SourceError: no such preset, or nobody says what its metrics call a variant.
        ClusterError: the object that carries the split cannot be read.
    """
    name, preset = preset_name(experiment), _preset(experiment)
    found: Upstreams = {}
    if _needs_upstreams(experiment, preset):
        found = _upstreams(experiment, door)
        every = [upstream for names in found.values() for upstream in names]
        if len(found) < len(experiment.variants) or len(every) > len(set(every)):
            told = ", ".join(f"{v}: {' or '.join(names)}" for v, names in found.items())
            raise SourceError(
                f"{experiment.platform} does not say what its metrics call each variant "
                f"({told or 'none yet'})",
                "has each variant been rolled out, with a Service of its own? or give the metrics "
                "selectors of their own",
            )
    return _with(experiment, name, preset, found)


def likely(experiment: Experiment) -> Telemetry:
    """The same without a world: something stands for what only the platform's objects can say.

    Raises:
        SourceError: no such preset.
    """
    same = {variant.name: (variant.name,) for variant in experiment.variants}
    return _with(experiment, preset_name(experiment), _preset(experiment), same)


def _preset(experiment: Experiment) -> Preset:
    return _presets.preset(preset_name(experiment))


def _needs_upstreams(experiment: Experiment, preset: Preset) -> bool:
    own = (s for metric in experiment.metrics for s in metric.selectors.values())
    return any("$upstream" in text for text in (preset.requests, *own))


def _with(experiment: Experiment, name: str, preset: Preset, upstreams: Upstreams) -> Telemetry:
    names = {v.name: _names(experiment, v, upstreams.get(v.name)) for v in experiment.variants}
    return Telemetry(name, preset, names)


def _names(experiment: Experiment, variant: Variant, upstream: Sequence[str] | None) -> Names:
    return {
        "variant": (variant.name,),
        "experiment": (experiment.name,),
        "namespace": (experiment.namespace,),
        "model": (variant.model.name,),
        "version": (variant.model.version,),
        **({"upstream": upstream} if upstream else {}),
    }


def _upstreams(experiment: Experiment, door: Door | None) -> Upstreams:
    carrier = platform(experiment.platform)
    target = carrier.target(experiment)
    if door is not None:
        with suppress(NotFoundError):
            return carrier.upstreams(door.get(target))
    try:
        rendered: list[Object] = carrier.objects(experiment)
    except SpecError:
        return {}
    return carrier.upstreams(next(o for o in rendered if Ref.of(o) == target))
