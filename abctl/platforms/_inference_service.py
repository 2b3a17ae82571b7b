"""KServe's InferenceService: one variant's servers, or the latest of several revisions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Variant
from abctl.core.template import SERVER
from abctl.platforms import Misfit, _fit, _kserve_models
from abctl.platforms._templates import patched, replicas
from abctl.platforms._workload import HTTP, PORTS, SECCOMP, container, head, volumes

API = "serving.kserve.io/v1beta1"
MODE = "serving.kserve.io/deploymentMode"
# Old names are still written in objects that were made before KServe 0.16.
STANDARD, KNATIVE = ("Standard", "RawDeployment"), ("Knative", "Serverless")
NAME = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_MOST = 100
_KNATIVE_PORTS = {"http1": HTTP}
_SERVER = "kserve-container"
# Where a predictor names its model; but for the first, KServe's words of old for some formats.
_MODELS = (
    *("model", "sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch", "triton"),
    *("onnx", "huggingface", "pmml", "paddle"),
)

Json = dict[str, Any]


def inference_service(
    experiment: Experiment,
    variant: Variant,
    name: str,
    mode: Literal["Standard", "Knative"],
    *,
    silent: bool,
) -> Json:
    """The InferenceService of a variant: its image, or its stored model in a runtime of KServe.

    `silent` as for a container. Knative allows one port, called by its protocol; in Standard mode
    the first is what the Service's port 80 leads to.
    """
    ref = Ref(API, "InferenceService", experiment.namespace, name)
    obj = head(ref, experiment, variant.name if mode == "Standard" else None)
    obj["metadata"]["annotations"] = {MODE: mode}
    model = variant.model
    templates = experiment.templates.of(variant.name)
    number = replicas(templates)
    if model.image:
        ports = PORTS if mode == "Standard" else _KNATIVE_PORTS
        spec: Json = {
            "containers": [container(experiment, variant, _SERVER, ports=ports, silent=silent)],
            **volumes(experiment, grouped=mode == "Standard"),
        }
    else:
        spec = {
            "containers": [_kserve_models.container(variant, _SERVER, SECCOMP)],
            # Knative lets no pod have one, by default.
            **({"securityContext": SECCOMP} if mode == "Standard" else {}),
        }
    pod = patched({"metadata": {}, "spec": spec}, templates, {SERVER: _SERVER})
    return {
        **obj,
        "spec": {
            "predictor": {
                **({} if number is None else {"minReplicas": number}),
                **pod["metadata"],
                **(pod["spec"] if model.image else _kserve_models.placed(variant, pod["spec"])),
            }
        },
    }


def predictor_service(name: str) -> str:
    """The Service that KServe makes in Standard mode, on port 80."""
    return f"{name}-predictor"


def misfits(experiment: Experiment, name: str) -> Iterator[Misfit]:
    """Models that KServe could neither run nor load."""
    for place, variant in _fit.served(experiment):
        if not variant.model.image and not variant.model.uri:
            message = f"is missing, {name} needs it"
            yield Misfit((*place, "model", "image"), message, "or uri and format")
    yield from _kserve_models.misfits(experiment, name)


def objections(obj: Object) -> Iterator[str]:
    """What KServe's webhook says against an InferenceService (v0.20), in its words."""
    if not re.fullmatch(NAME, given := obj["metadata"]["name"]):
        yield (
            f'the InferenceService "{given}" is invalid: a InferenceService name must consist of '
            "lower case alphanumeric characters or '-', and must start with alphabetical character"
        )
    spec = obj.get("spec", {})
    canaries, predictor = spec.get("canary") or [], spec.get("predictor", {})
    if not canaries:
        return
    if mode_of(obj) not in STANDARD:
        yield "canary is only supported in Standard deployment mode"
    if not any(key in predictor for key in _MODELS):
        yield "canary requires a stable predictor with a model"
    names = [canary.get("predictor", {}).get("name") for canary in canaries]
    for i, name in enumerate(names):
        if not name:
            yield f"canary[{i}] predictor.name is required"
        elif name in names[:i]:
            yield f'canary predictor.name "{name}" is duplicated'
        elif name == predictor.get("name"):
            yield f'canary predictor.name "{name}" conflicts with stable predictor name'
    total = sum(canary.get("trafficPercent", 0) for canary in canaries)
    if total > _MOST:
        yield f"sum of canary trafficPercent values ({total}) must be <= 100"


def mode_of(obj: Object) -> str | None:
    """How it is deployed, as far as the object says; else the cluster's default decides."""
    status: Mapping[str, Any] = obj.get("status") or {}
    annotations: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return status.get("deploymentMode") or annotations.get(MODE)
