"""KServe's InferenceGraph: a Splitter over one InferenceService (Standard mode) for each variant.

Every request is drawn anew, in whole percents. The router drops headers in both directions (also
the user's id, unless the cluster's `inferenceservice-config` propagates it), and has no metrics:
evidence is the model servers' own. Nothing says when the router's pods have new weights.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from abctl import platforms
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Variant
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.platforms import (
    Capabilities,
    Misfit,
    _collector,
    _fit,
    _inference_service,
    _kserve_models,
    _weighted,
)
from abctl.platforms._inference_service import MODE, NAME, inference_service, predictor_service
from abctl.platforms._workload import head, named

CAPABILITIES = Capabilities(
    parts=100,
    sticky=False,
    override=False,
    cohorts=False,
    shadow=False,
    max_variants=None,
    reports="conditions",
    names_variant=False,  # the router drops the headers of an answer
    by_mlserver=_kserve_models.by_mlserver,
)
_ROOT, _SUM = "root", 100
_PLACED_BY = ("affinity", "nodeSelector", "serviceAccountName", "tolerations")
_TARGETS = ("nodeName", "serviceName", "serviceUrl")

baseline = _fit.no_baseline
upstreams = _fit.no_upstreams

Json = dict[str, Any]


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment an InferenceGraph cannot express."""
    return [
        *_fit.misfits("inferencegraph", CAPABILITIES, experiment),
        *_inference_service.misfits(experiment, "inferencegraph"),
    ]


def target(experiment: Experiment) -> Ref:
    """The InferenceGraph."""
    api = "serving.kserve.io/v1alpha1"
    return Ref(api, "InferenceGraph", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """An InferenceService for each variant, and the graph over them.

    Raises:
        SpecError: an InferenceGraph cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    graph = head(target(experiment), experiment)
    graph["metadata"]["annotations"] = {MODE: "Standard"}
    steps = [_step(experiment, variant) for variant in experiment.variants]
    asked = experiment.templates.every.spec
    graph["spec"] = {
        "nodes": {_ROOT: {"routerType": "Splitter", "steps": steps}},
        # All that can be said of where the router's pods run.
        **{key: asked[key] for key in _PLACED_BY if asked.get(key) is not None},
    }
    services = [
        inference_service(experiment, v, named(experiment, v.name), "Standard", silent=True)
        for v in experiment.variants
    ]
    return [*_collector.objects(experiment), *services, graph]


def _step(experiment: Experiment, variant: Variant) -> Json:
    service = predictor_service(named(experiment, variant.name))
    # With a serviceName the router would guess the protocol, and take the InferenceService's name
    # for the model's; the whole address leaves nothing to guess.
    url = f"http://{service}.{experiment.namespace}.svc.cluster.local"
    return {
        "name": variant.name,
        "serviceUrl": f"{url}{_kserve_models.path(variant.model)}",
        "weight": experiment.split[variant.name] // 100,
    }


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in the node that splits.

    Raises:
        SpecError: other variants than the steps, or no whole percents.
        ClusterError: no Splitter, or several of which none is the root.
    """
    _weighted.require_fit(obj, _names(_steps(obj)), split, CAPABILITIES.parts)
    return _written(obj, split)


def _written(obj: Object, split: Split) -> Object:
    after: Json = deepcopy(dict(obj))
    for name, step in zip(_names(_steps(obj)), _steps(after), strict=True):
        step["weight"] = split[name] // 100
    return after


def mended(obj: Object) -> Object:
    """A copy in which the first step has everything.

    Raises:
        ClusterError: no Splitter, or several of which none is the root.
    """
    return _written(obj, _weighted.back(_names(_steps(obj))))


def split_of(obj: Object) -> Split:
    """The weights of the node that splits.

    Raises:
        ClusterError: no Splitter, or weights that make no split.
    """
    steps = _steps(obj)
    return _weighted.split_of(obj, _names(steps), [step.get("weight", 0) for step in steps])


def programmed(_: Object) -> None:
    """Never known: the status speaks of the router's Deployment, also when it means an older one.

    Its observedGeneration is the Deployment's, and counts other changes than the graph's.
    """


def refusal(obj: Object) -> str | None:
    """What KServe complains of."""
    return platforms.complaint(obj, "Ready")


def objections(obj: Object) -> tuple[str, ...]:
    """What KServe's webhook says against a graph or an InferenceService, in its words."""
    if obj["kind"] == "InferenceService":
        return tuple(_inference_service.objections(obj))
    return tuple(_graph_objections(obj)) if obj["kind"] == "InferenceGraph" else ()


def _graph_objections(obj: Object) -> Iterator[str]:
    name, nodes = obj["metadata"]["name"], obj.get("spec", {}).get("nodes") or {}
    if not re.fullmatch(NAME, name):
        yield (
            f'The InferenceGraph "{name}" is invalid: a InferenceGraph name must consist of lower '
            "case alphanumeric characters or '-', and must start with alphabetical character"
        )
    if _ROOT not in nodes:
        yield (
            "root node not found, InferenceGraph needs a node with name 'root' as the root node "
            "of the graph"
        )
    for node_name, node in nodes.items():
        yield from _node_objections(name, node_name, node)


def _node_objections(graph: str, name: str, node: Mapping[str, Any]) -> Iterator[str]:
    steps = node.get("steps") or []
    named_steps = [step["name"] for step in steps if step.get("name")]
    for twice in dict.fromkeys(n for n in named_steps if named_steps.count(n) > 1):
        yield (
            f'Node "{name}" of InferenceGraph "{graph}" contains more than one step with name '
            f'"{twice}"'
        )
    for i, step in enumerate(steps):
        place = f'Step {i} ("{step.get("name", "")}") in node "{name}" of InferenceGraph "{graph}"'
        given = [key for key in _TARGETS if step.get(key)]
        if not given:
            yield f"{place} does not specify an inference target"
        if len(given) > 1:
            yield f"{place} specifies more than one of nodeName, serviceName, serviceUrl"
    if node.get("routerType") == "Splitter":
        place = f"InferenceGraph[{graph}] Node[{name}]"
        for step in steps:
            if step.get("weight") is None:
                yield f"{place} Route[{step.get('serviceName', '')}] missing the 'Weight'"
        if sum(_weighted.whole(step.get("weight")) for step in steps) != _SUM:
            yield (
                f"{place} splitter node: the sum of traffic weights for all routing targets "
                "should be 100"
            )


def _steps(obj: Object) -> list[Json]:
    nodes = obj.get("spec", {}).get("nodes") or {}
    splitters = {k: node for k, node in nodes.items() if node.get("routerType") == "Splitter"}
    if _ROOT in splitters:
        splitters = {_ROOT: splitters[_ROOT]}
    if len(splitters) != 1:
        found = ", ".join(splitters) or "none"
        raise ClusterError(
            f"{Ref.of(obj)}: must have one node that is a Splitter ({found})",
            f"call the node that splits {_ROOT}",
        )
    (node,) = splitters.values()
    steps: list[Json] = node.get("steps") or []
    if not steps:
        raise ClusterError(
            f"{Ref.of(obj)}: its Splitter has no steps", "give it a step for each variant"
        )
    return steps


def _names(steps: Sequence[Json]) -> list[str]:
    return [next(step[key] for key in ("name", *_TARGETS) if step.get(key)) for step in steps]
