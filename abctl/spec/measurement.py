"""How an experiment is measured: by which preset, and what its platform calls the variants."""

import logging
from collections.abc import Iterator, Mapping, Sequence

from abctl import platforms
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Metric, Variant
from abctl.core.reasons import Reason
from abctl.errors import SourceError, SpecError
from abctl.metrics import presets
from abctl.metrics.presets import ERRORS, Preset
from abctl.metrics.queries import MetricQueries, Names

_log = logging.getLogger(__name__)
# Presets whose counters are those of a model server, each of which is one variant's.
_MLSERVER = "mlserver"
_OF_SERVERS = ("abctl", _MLSERVER)
Upstreams = Mapping[str, Sequence[str]]


def preset_name(experiment: Experiment) -> str:
    """The preset of the file, else the locked one.

    Without either it is abctl's own, unless the platform loads or finds the models.
    """
    if experiment.source and experiment.source.preset:
        return experiment.source.preset
    if locked := [each["preset"] for each in experiment.meaning.values() if "preset" in each]:
        return locked[0]
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


def access_log(experiment: Experiment) -> str | None:
    """The preset of the access log of the proxy in front; None where nobody counts it.

    abctl makes its reader where it makes the model servers, whose program has it, unless the file
    says otherwise. To a plan that was locked before there is none.
    """
    known = [each for each in experiment.meaning.values() if "clients" in each]
    if not experiment.access_log or (experiment.meaning and not known):
        return None
    if preset_name(experiment) != "abctl":
        return None
    return presets.log_of_platform(experiment.platform)


def _clients(experiment: Experiment, own: Preset) -> tuple[str, Preset] | None:
    """The preset of the proxy in front, where the experiment's own is not a proxy's."""
    if own.proxy:
        return None
    try:
        name = presets.of_platform(experiment.platform)
    except SourceError:
        return None
    found = presets.preset(name)
    return (name, found) if found.proxy else None


def _preset(experiment: Experiment) -> Preset:
    return presets.preset(preset_name(experiment))


def _with(experiment: Experiment, name: str, preset: Preset, upstreams: Upstreams) -> MetricQueries:
    names = {v.name: _names(experiment, v, upstreams.get(v.name)) for v in experiment.variants}
    return MetricQueries(name, preset, names, _of_clients(experiment, preset, upstreams))


def _of_clients(
    experiment: Experiment, preset: Preset, upstreams: Upstreams
) -> MetricQueries | None:
    if (found := _clients(experiment, preset)) is None:
        return None
    name, proxy = found
    if "$upstream" in proxy.requests and not _told_apart(experiment, upstreams):
        return None  # nobody says what its counters call the variants
    names = {v.name: _names(experiment, v, upstreams.get(v.name)) for v in experiment.variants}
    log = access_log(experiment)
    nearer = MetricQueries(log, presets.preset(log), names) if log else None
    return MetricQueries(name, proxy, names, nearer)


def _told_apart(experiment: Experiment, upstreams: Upstreams) -> bool:
    every = [upstream for names in upstreams.values() for upstream in names]
    return len(upstreams) == len(experiment.variants) and len(every) == len(set(every))


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
        if not _told_apart(experiment, found) and _requires_upstreams(experiment):
            known = ", ".join(f"{v}: {' or '.join(names)}" for v, names in found.items())
            raise SourceError(
                f"{experiment.platform} does not report what its metrics call each variant "
                f"({known or 'none yet'})",
                "has each variant been rolled out, with a Service of its own? or give the metrics "
                "selectors of their own",
            )
    return _with(experiment, name, preset, found)


def grpc_unseen(experiment: Experiment, asked: MetricQueries, metric: Metric) -> Iterator[Reason]:
    """Who counts errors, or stands beside who does, and does not see those of gRPC.

    Only where gRPC comes in.
    """
    routed = platforms.platform(experiment.platform).CAPABILITIES.grpc
    if metric.counted != ERRORS or metric.selectors or not (routed and routed(experiment)):
        return
    counting = {asked.name: asked.preset}
    if metric.of == ERRORS:
        counting |= {each.name: each.preset for each in asked.proxies}
    for name, preset in counting.items():
        if preset.grpc:
            yield Reason("grpcUnseen", {"preset": name, "how": preset.grpc})


def require_apart(experiment: Experiment) -> None:
    """Make sure that what is counted can be of one variant.

    Raises:
        SourceError: two variants are served at one place, where the counters are one server's; or
            the platform's metrics have one name for both.
    """
    name, places = preset_name(experiment), _places(experiment)
    if name in _OF_SERVERS and (pair := _alike(places)):
        first, second = pair
        raise SourceError(
            f"variants {first} and {second} are both served at {places[second]}: preset {name} "
            "tells variants apart by their servers",
            "a Service for each variant, or a preset of the proxy in front: "
            + ", ".join(n for n in presets.names() if n not in _OF_SERVERS),
        )
    if not _requires_upstreams(experiment):
        return
    known = {variant: names[0] for variant, names in _upstreams(experiment, None).items() if names}
    if pair := _alike(known):
        first, second = pair
        raise SourceError(
            f"variants {first} and {second} are both {known[second]} in the metrics of "
            f"{experiment.platform}",
            "a Service for each variant, of another name or in another namespace",
        )


def require_counters(experiment: Experiment) -> None:
    """Make sure that what serves the models has the counters that are read.

    Raises:
        SourceError: the counters are MLServer's, and a model's runtime is another.
    """
    loads = platforms.platform(experiment.platform).CAPABILITIES.by_mlserver
    if preset_name(experiment) != _MLSERVER or loads is None:
        return
    for variant in experiment.variants:
        model = variant.model
        if model.uri and not model.image and loads(model) is False:
            server = model.runtime or f"what serves {model.format}"
            raise SourceError(
                f"variant {variant.name}: {server} has no counters that abctl can read (preset "
                f"{_MLSERVER} is of MLServer)",
                "platform: kserve or gateway, whose proxies count whatever serves the model",
            )


def _places(experiment: Experiment) -> dict[str, str]:
    """Where the variants that somebody else serves are served, each place in one way of writing."""
    found = {}
    for variant in experiment.variants:
        if where := variant.model.service:
            whole = where if "/" in where else f"{experiment.namespace}/{where}"
            found[variant.name] = whole.removesuffix(":80")
    return found


def _alike(places: Mapping[str, str]) -> tuple[str, str] | None:
    """The first two variants that are at one place."""
    at: dict[str, str] = {}
    for variant, place in places.items():
        if (other := at.setdefault(place, variant)) != variant:
            return other, variant
    return None


def needs_upstreams(experiment: Experiment) -> bool:
    """Whether the platform's objects say what its metrics call the variants."""
    clients = _clients(experiment, _preset(experiment))
    return _requires_upstreams(experiment) or bool(clients and "$upstream" in clients[1].requests)


def _requires_upstreams(experiment: Experiment) -> bool:
    """Whether nothing can be measured without them."""
    own = (s for metric in experiment.by_counters.metrics for s in metric.selectors.values())
    return any("$upstream" in text for text in (_preset(experiment).requests, *own))


def _upstreams(experiment: Experiment, target: Object | None) -> Upstreams:
    platform = platforms.platform(experiment.platform)
    if target is not None:
        return platform.upstreams(target)
    try:
        rendered: list[Object] = platform.objects(experiment)
    except SpecError:
        return {}
    wanted = platform.target(experiment)
    return platform.upstreams(next(o for o in rendered if Ref.of(o) == wanted))
