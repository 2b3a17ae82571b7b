"""Models that KServe loads from a store: their formats, and what serves them (KServe 0.20).

KServe picks a runtime by format and protocol; which ones a cluster has is its owner's choice. What
differs for an experiment is how a server learns the name by which requests ask for the model: both
variants must answer to one name, though their InferenceServices have two.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from abctl.core.experiment import PROTOCOL, Experiment, Model, Variant
from abctl.platforms import Misfit, Place, _fit

Json = dict[str, Any]

# variable: MLServer's own. argument: a later one goes before the runtime's. service: always the
# InferenceService's name. store: what the stored folder or archive says.
Naming = Literal["variable", "argument", "service", "store"]
_V1, _V2 = ("v1",), ("v2",)
_BOTH = (*_V1, *_V2)


@dataclass(frozen=True)
class _Runtime:
    """A runtime that comes with KServe: what it serves, and how it is told the model's name."""

    formats: tuple[str, ...]
    named_by: Naming = "argument"
    protocols: tuple[str, ...] = _BOTH


MLSERVER = "kserve-mlserver"
# Of those that serve a format by a protocol, the one that KServe takes stands first.
_RUNTIMES: Mapping[str, _Runtime] = {
    MLSERVER: _Runtime(("sklearn", "xgboost", "lightgbm", "mlflow"), "variable", _V2),
    "kserve-sklearnserver": _Runtime(("sklearn",)),
    "kserve-xgbserver": _Runtime(("xgboost",)),
    "kserve-lgbserver": _Runtime(("lightgbm",)),
    "kserve-predictiveserver": _Runtime(("sklearn", "xgboost", "lightgbm")),
    "kserve-pmmlserver": _Runtime(("pmml",)),
    "kserve-paddleserver": _Runtime(("paddle",)),
    "kserve-autogluonserver": _Runtime(("autogluon",)),
    "kserve-huggingfaceserver": _Runtime(("huggingface",)),
    "kserve-torchserve": _Runtime(("pytorch",), "store"),
    "kserve-tensorflow-serving": _Runtime(("tensorflow",), "service", _V1),
    "kserve-tritonserver": _Runtime(
        ("triton", "tensorrt", "tensorflow", "onnx", "pytorch"), "store", _V2
    ),
    "kserve-openvino": _Runtime(("openvino", "onnx", "tensorflow", "huggingface"), "service"),
    "kserve-vllmserver": _Runtime(("vLLM",), "service"),
}
FORMATS = tuple(dict.fromkeys(each for runtime in _RUNTIMES.values() for each in runtime.formats))
"""The formats that KServe documents."""


def serving(model: Model) -> str | None:
    """The runtime that serves a stored model, as far as that is known."""
    if model.runtime:
        return model.runtime
    fitting = (name for name, each in _RUNTIMES.items() if _serves(each, model))
    return next(fitting, None)


def by_mlserver(model: Model) -> bool | None:
    """Whether MLServer serves a stored model; None where nobody can know."""
    runtime = serving(model)
    return runtime == MLSERVER if runtime in _RUNTIMES else None


def _serves(runtime: _Runtime, model: Model) -> bool:
    return model.format in runtime.formats and model.protocol in runtime.protocols


def _named_by(model: Model) -> Naming | None:
    found = _RUNTIMES.get(serving(model) or "")
    return None if found is None else found.named_by


def container(variant: Variant, name: str, security: Json) -> Json:
    """The container of a stored model, as a template of pods sees it."""
    model = variant.model
    settings = {"MLSERVER_MODEL_NAME": model.name, "MLSERVER_MODEL_VERSION": model.version}
    named_by = _named_by(model)
    # Where abctl gives arguments, it says to whom.
    runtime = serving(model) if named_by == "argument" else model.runtime
    return {
        "name": name,
        "modelFormat": {"name": model.format},
        "protocolVersion": model.protocol,
        **({"runtime": runtime} if runtime else {}),
        "storageUri": model.uri,
        # KServe would call the model as the InferenceService: then the paths differ.
        **(
            {"env": [{"name": key, "value": value} for key, value in settings.items()]}
            if named_by in ("variable", None)  # which a runtime of one's own may be, too
            else {}
        ),
        # All else of a restricted pod KServe's own runtimes have.
        "securityContext": security,
    }


def placed(variant: Variant, spec: Json) -> Json:
    """A pod whose first container is a model that KServe loads: that has a place of its own."""
    server, *others = spec["containers"]
    model = {key: value for key, value in server.items() if key != "name"}
    if _named_by(variant.model) == "argument":
        # Before those of the template, which would replace it there.
        model["args"] = [f"--model_name={variant.model.name}", *model.get("args", ())]
    rest = {key: value for key, value in spec.items() if key != "containers"}
    return {"model": model, **({"containers": others} if others else {}), **rest}


def path(model: Model) -> str:
    """Where predictions are asked for."""
    form = "/v1/models/{}:predict" if model.protocol == "v1" else "/v2/models/{}/infer"
    return form.format(model.name)


def misfits(experiment: Experiment, platform: str) -> Iterator[Misfit]:
    """Stored models that KServe could not load, or that would not answer to one name."""
    for where, variant in _fit.served(experiment):
        model, place = variant.model, (*where, "model")
        if model.image or not model.uri:
            continue
        yield from _unknown(place, model)
        # One InferenceService is called like the experiment; of several none is.
        if _named_by(model) == "service" and (
            platform != "kserve" or model.name != experiment.name
        ):
            message = f"{model.name}, but {serving(model)} calls a model as its InferenceService"
            hint = f"platform: kserve, and name: {experiment.name}"
            yield Misfit((*place, "name"), message, hint)


def other_protocols(experiment: Experiment, platform: str) -> Iterator[Misfit]:
    """Models that are asked by another protocol than the platform's routes let in."""
    for place, variant in _fit.served(experiment):
        if variant.model.uri and (protocol := variant.model.protocol) != PROTOCOL:
            message = f"{protocol}, but {platform} lets in {PROTOCOL}"
            hint = "platform: kserve, or a server that speaks it"
            yield Misfit((*place, "model", "protocol"), message, hint)


def _unknown(place: Place, model: Model) -> Iterator[Misfit]:
    known = _RUNTIMES.get(model.runtime or "")
    if not model.format:
        yield Misfit((*place, "format"), "is missing, the model at uri needs it", "format: sklearn")
    elif known and model.format not in known.formats:
        message = f"{model.format}, which {model.runtime} does not serve"
        yield Misfit((*place, "format"), message, f"it serves {', '.join(known.formats)}")
    elif known and model.protocol not in known.protocols:
        message = f"{model.protocol}, which {model.runtime} does not speak"
        yield Misfit((*place, "protocol"), message, f"protocol: {known.protocols[0]}")
    elif not model.runtime and model.format not in FORMATS:
        message = f"{model.format}, which no runtime of KServe serves"
        hint = f"one of {', '.join(FORMATS)}; or runtime: NAME, a ServingRuntime of your cluster"
        yield Misfit((*place, "format"), message, hint)
    elif serving(model) is None:
        message = f"{model.protocol}, by which no runtime of KServe serves {model.format}"
        other = "v1" if model.protocol == "v2" else "v2"
        yield Misfit((*place, "protocol"), message, f"protocol: {other}, or runtime: NAME")
