"""How an experiment is measured: by which preset, and what its platform calls the variants."""

import logging
from collections.abc import Mapping, Sequence

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Variant
from abctl.errors import SourceError, SpecError
from abctl.metrics import presets
from abctl.metrics.presets import Preset
from abctl.metrics.queries import MetricQueries, Names
from abctl.platforms import platform

_log = logging.getLogger(__name__)
Upstreams = Mapping[str, Sequence[str]]


def preset_name(experiment: Experiment) -> str:
    """The preset of the file; else abctl's own, unless the platform loads or finds the models."""
    if experiment.source and experiment.source.preset:
        return experiment.source.preset
    models = [variant.model for variant in experiment.variants]
    foreign = any((m.uri or m.service) and not m.image for m in models)
    return presets.of_platform(experiment.platform) if foreign else "abctl"


def likely(experiment: Experiment) -> MetricQueries:
    """As `measured`, without a cluster: a variant's name stands for what its platform calls it.

    Raises:
        SourceError: no such preset.
    """
    same = {variant.name: (variant.name,) for variant in experiment.variants}
    return _with(experiment, preset_name(experiment), _preset(experiment), same)


def _preset(experiment: Experiment) -> Preset:
    return presets.preset(preset_name(experiment))


def _with(experiment: Experiment, name: str, preset: Preset, upstreams: Upstreams) -> MetricQueries:
    names = {v.name: _names(experiment, v, upstreams.get(v.name)) for v in experiment.variants}
    return MetricQueries(name, preset, names)


def _names(experiment: Experiment, variant: Variant, upstream: Sequence[str] | None) -> Names:
    return {
        "variant": (variant.name,),
        "experiment": (experiment.name,),
        "namespace": (experiment.namespace,),
        "model": (variant.model.name,),
        "version": (variant.model.version,),
        **({"upstream": upstream} if upstream else {}),
    }


def measured(experiment: Experiment, target: Object | None) -> MetricQueries:
    """The queries of an experiment for a source.

    Args:
        experiment: its variants, and its preset.
        target: the platform's object that carries the split, which says what the metrics call a
            variant; before it is there, what the experiment renders to says it.

    Raises:
        SourceError: no such preset, or the platform does not say what its metrics call a variant.
    """
    name, preset = preset_name(experiment), _preset(experiment)
    given = experiment.source and experiment.source.preset
    reason = "the file names it" if given else f"by the platform {experiment.platform} and models"
    _log.info("preset %s: %s", name, reason)
    found: Upstreams = {}
    if needs_upstreams(experiment):
        found = _upstreams(experiment, target)
        every = [upstream for names in found.values() for upstream in names]
        if len(found) < len(experiment.variants) or len(every) > len(set(every)):
            known = ", ".join(f"{v}: {' or '.join(names)}" for v, names in found.items())
            raise SourceError(
                f"{experiment.platform} does not report what its metrics call each variant "
                f"({known or 'none yet'})",
                "has each variant been rolled out, with a Service of its own? or give the metrics "
                "selectors of their own",
            )
    return _with(experiment, name, preset, found)


def needs_upstreams(experiment: Experiment) -> bool:
    """Whether only the platform's objects say what the metrics call the variants."""
    own = (s for metric in experiment.metrics for s in metric.selectors.values())
    return any("$upstream" in text for text in (_preset(experiment).requests, *own))


def _upstreams(experiment: Experiment, target: Object | None) -> Upstreams:
    carrier = platform(experiment.platform)
    if target is not None:
        return carrier.upstreams(target)
    try:
        rendered: list[Object] = carrier.objects(experiment)
    except SpecError:
        return {}
    wanted = carrier.target(experiment)
    return carrier.upstreams(next(o for o in rendered if Ref.of(o) == wanted))
