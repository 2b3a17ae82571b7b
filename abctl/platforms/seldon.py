"""Seldon Core v1: a SeldonDeployment whose predictors share the traffic.

Every request is drawn anew, in whole percents. Seldon's own feedback does not exist for MLServer's
protocol, so feedback goes to a variant's Service, or with tokens to the collector's.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from abctl import platforms
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Variant
from abctl.core.split import Split
from abctl.core.template import SERVER
from abctl.errors import ClusterError
from abctl.platforms import (
    Capabilities,
    Made,
    Misfit,
    _collector,
    _fit,
    _seldon_route,
    _seldon_rules,
    _weighted,
)
from abctl.platforms._templates import patched, replicas
from abctl.platforms._workload import container, head, labels, volumes

CAPABILITIES = Capabilities(
    parts=100,
    sticky=False,
    override=False,
    cohorts=False,
    shadow=True,
    max_variants=None,
    reports="conditions",
    entrance=True,
    grpc=_fit.always,
    made=Made(
        labels=lambda target: {"seldon-deployment-id": target.name},
        variant="version",
        route=_seldon_route.ref,
        routed=_seldon_route.with_split,
        path=lambda target: f"/seldon/{target.namespace}/{target.name}",
    ),
    names_variant=False,  # the executor drops the headers of an answer
)
_PREPACKED = {"sklearn": "SKLEARN_SERVER", "xgboost": "XGBOOST_SERVER", "mlflow": "MLFLOW_SERVER"}

baseline = _fit.no_baseline
upstreams = _fit.no_upstreams
objections = _seldon_rules.objections

Json = dict[str, Any]


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment Seldon cannot express."""
    return [*_fit.misfits("seldon", CAPABILITIES, experiment), *_models(experiment)]


def _models(experiment: Experiment) -> Iterator[Misfit]:
    for where, variant in _fit.served(experiment):
        model, place = variant.model, (*where, "model")
        if not model.image and not model.uri:
            yield Misfit((*place, "image"), "is missing, seldon needs it", "or uri and format")
        elif not model.image and model.format not in _PREPACKED:
            known = ", ".join(_PREPACKED)
            message = f"{model.format}, must be one of {known}" if model.format else "is missing"
            yield Misfit((*place, "format"), message, f"seldon serves {known}, or an image")
        yield from _fit.container_name((*place, "name"), model.name, "seldon")


def target(experiment: Experiment) -> Ref:
    """The SeldonDeployment."""
    api = "machinelearning.seldon.io/v1"
    return Ref(api, "SeldonDeployment", experiment.namespace, experiment.name)


def objects(experiment: Experiment) -> list[Object]:
    """The SeldonDeployment: a predictor for each variant, and for the shadow; and the collector.

    Raises:
        SpecError: Seldon cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    entrance = experiment.entrance
    given = {
        "seldon.io/istio-gateway": entrance and entrance.gateway,
        "seldon.io/istio-host": entrance and entrance.host,
    }
    annotations = {key: value for key, value in given.items() if value}
    return [
        *_collector.objects(experiment),
        {
            **head(target(experiment), experiment),
            "spec": {
                "protocol": "v2",
                **({"annotations": annotations} if annotations else {}),
                "predictors": [
                    *(
                        _predictor(experiment, v, experiment.split[v.name] // 100)
                        for v in experiment.variants
                    ),
                    *_shadow(experiment),
                ],
            },
        },
    ]


def _shadow(experiment: Experiment) -> Iterator[Json]:
    # Its traffic is how many requests are copied, in percent.
    if shadow := experiment.shadow:
        yield {**_predictor(experiment, shadow, shadow.percent), "shadow": True}


def _predictor(experiment: Experiment, variant: Variant, traffic: int) -> Json:
    model = variant.model
    # Seldon calls the model by the name of its node, and finds the node's container by that name.
    graph: Json = {"name": model.name, "type": "MODEL"}
    if model.image:
        pod = {
            "containers": [container(experiment, variant, model.name, silent=True)],
            **volumes(experiment),
        }
    else:
        graph |= {"implementation": _PREPACKED[model.format or ""], "modelUri": model.uri}
        pod = {"containers": [{"name": model.name}]}
    templates = experiment.templates.of(variant.name)
    plain = {"metadata": {"labels": labels(experiment, variant.name)}, "spec": pod}
    asked, number = patched(plain, templates, {SERVER: model.name}), replicas(templates)
    # Seldon adds to a stored model's server what is said of a container of its name.
    said = bool(model.image) or asked["spec"] != pod
    return {
        "name": variant.name,
        "replicas": 1 if number is None else number,
        "traffic": traffic,
        **asked["metadata"],
        "graph": graph,
        **({"componentSpecs": [{"spec": asked["spec"]}]} if said else {}),
    }


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other traffic; a shadow keeps its own.

    Raises:
        SpecError: other variants than the predictors, or no whole percents.
        ClusterError: no predictors that share traffic.
    """
    _weighted.require_fit(obj, _names(obj), split, CAPABILITIES.parts)
    if split == split_of(obj):
        return deepcopy(dict(obj))
    return _written(obj, split)


def _written(obj: Object, split: Split) -> Object:
    after: Json = deepcopy(dict(obj))
    for predictor in _sharing(after):
        predictor["traffic"] = split[predictor["name"]] // 100
    return after


def mended(obj: Object) -> Object:
    """A copy in which the first predictor that is no shadow has everything.

    Raises:
        ClusterError: no predictors that share traffic.
    """
    return _written(obj, _weighted.back(_names(obj)))


def split_of(obj: Object) -> Split:
    """The traffic of the predictors that are not a shadow; a single one has everything.

    Raises:
        ClusterError: no predictors, or traffic that makes no split.
    """
    sharing = _sharing(obj)
    traffic = [predictor.get("traffic", 0) for predictor in sharing]
    return _weighted.split_of(obj, _names(obj), traffic if len(sharing) > 1 else [1])


def programmed(obj: Object) -> Split | None:
    """What the operator's VirtualService carries; None where it cannot be read.

    The status has no word on the generation of the object that it speaks of.
    """
    route = (obj.get("status") or {}).get("route")
    return route and _seldon_route.split_of(route, _names(obj))


def refusal(obj: Object) -> str | None:
    """What Seldon complains of."""
    status = obj.get("status") or {}
    if unread := status.get("unread"):
        return f"its VirtualService cannot be read: {unread}"
    if status.get("state") == "Failed":
        return f"Seldon says that it failed: {status.get('description', 'without a reason')}"
    return platforms.complaint(obj, "Ready")


def _names(obj: Object) -> list[str]:
    return [predictor["name"] for predictor in _sharing(obj)]


def _sharing(obj: Object) -> list[Json]:
    predictors = obj.get("spec", {}).get("predictors") or []
    sharing = [predictor for predictor in predictors if not predictor.get("shadow")]
    if not sharing:
        raise ClusterError(
            f"{Ref.of(obj)}: no predictor, so there is no split", "name one with spec.predictors"
        )
    return sharing
