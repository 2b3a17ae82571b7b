"""What a user's own model is, by its file or folder: which runtime serves it, and what it takes."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from abctl import installation
from abctl.errors import NotFoundError, UsageError
from abctl.files import read
from abctl.foreign import in_one_line
from abctl.local.model_folder import SETTINGS

Tensor = Mapping[str, Any]
_KNOWN = (
    "known are a folder with model-settings.json, .joblib, XGBoost's .json and .ubj, LightGBM's "
    ".txt, and a folder of MLflow"
)
_PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".h5", ".keras", ".onnx", ".bin", ".sav"}
_OWN_CLASS = (
    "a class of one's own is served from a folder with its module and a model-settings.json "
    "that names it as its implementation"
)
_MOST_BYTES = 2**30


@dataclass(frozen=True)
class ModelFile:
    """A model, and how MLServer serves it.

    Attributes:
        path: its file or folder.
        implementation: the class that serves it; empty where its folder says so itself.
        task: what it predicts, `classifier` or `regressor`; empty where that is not known.
        inputs: what it takes, as MLServer's metadata say it; none where that is not known.
        content_type: how requests are decoded that do not say it; empty for the runtime's own way.
        describes_itself: whether its runtime says what it takes.
    """

    path: Path
    implementation: str
    task: str = ""
    inputs: tuple[Tensor, ...] = ()
    content_type: str = ""
    describes_itself: bool = False

    @property
    def served_as_it_is(self) -> bool:
        """Whether it is a folder of MLServer already."""
        return not self.implementation


def model_file(path: Path) -> ModelFile:
    """What a path holds.

    Raises:
        NotFoundError: there is nothing.
        UsageError: it is no model that anybody knows how to serve, or cannot be read.
    """
    if not path.exists():
        raise NotFoundError(f"--model {path}: does not exist", _KNOWN)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise UsageError(f"--model {path}: neither a file nor a folder", _KNOWN)
    readers = {".joblib": _joblib, ".json": _xgboost, ".ubj": _xgboost, ".txt": _lightgbm}
    ending = path.suffix.lower()
    if ending not in readers:
        other = f'joblib.dump(model, "{path.stem}.joblib") writes one of scikit-learn; {_KNOWN}'
        raise UsageError(
            f"--model {path}: nothing is known of the ending {ending or '(none)'}",
            other if ending in _PICKLES else _KNOWN,
        )
    try:
        if path.stat().st_size == 0:
            raise UsageError(f"--model {path}: is empty", _KNOWN)
        return readers[ending](path)
    except OSError as error:
        raise UsageError(f"--model {path}: {error.strerror}", "name a file you can read") from None


def _folder(path: Path) -> ModelFile:
    if (path / SETTINGS).is_file():
        return ModelFile(path, "")
    if (path / "MLmodel").is_file():
        return _mlflow(path)
    below = sorted(each.parent.name for each in path.glob(f"*/{SETTINGS}"))
    inner = f"it has folders of models: --model {path / below[0]}" if below else _KNOWN
    raise UsageError(f"--model {path}: a folder without {SETTINGS} and without MLmodel", inner)


def _mlflow(path: Path) -> ModelFile:
    """Without a signature MLflow's runtime hands on what it cannot use, unless told what it is."""
    try:
        said = yaml.safe_load(read(path / "MLmodel"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        words = in_one_line(str(error))[:200]
        raise UsageError(f"--model {path}: its MLmodel cannot be read: {words}", _KNOWN) from None
    signed = isinstance(said, dict) and bool(said.get("signature"))
    return ModelFile(
        path,
        "mlserver_mlflow.MLflowRuntime",
        content_type="" if signed else "np",
        describes_itself=signed,
    )


def _joblib(path: Path) -> ModelFile:
    try:
        import joblib  # noqa: PLC0415 - slow to import
        from sklearn.base import BaseEstimator  # noqa: PLC0415
    except ImportError:
        raise installation.lacks("scikit-learn", "local") from None
    try:
        with warnings.catch_warnings(action="ignore"):
            found = joblib.load(path)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise UsageError(
            f"--model {path}: needs the module {error.name}, which is not here",
            f"if it is a package: {installation.adding(missing)}; {_OWN_CLASS}",
        ) from None
    except Exception as error:  # noqa: BLE001 - a pickle may raise whatever it likes
        said = in_one_line(str(error))[:200]
        raise UsageError(
            f"--model {path}: cannot be unpickled here: {type(error).__name__}: {said}",
            f"write it by joblib.dump with the versions that are here; {_OWN_CLASS}",
        ) from None
    if not isinstance(found, BaseEstimator) or not hasattr(found, "predict"):
        raise UsageError(
            f"--model {path}: holds a {type(found).__name__}, must be an estimator with predict, "
            "as scikit-learn has them",
            f"joblib.dump the model itself, for text and columns a Pipeline; {_OWN_CLASS}",
        )
    task = str(getattr(found, "_estimator_type", "") or "")
    if not task:
        from sklearn.base import is_classifier, is_regressor  # noqa: PLC0415

        task = "classifier" if is_classifier(found) else "regressor" if is_regressor(found) else ""
    return ModelFile(path, "ab_runtime.ABRuntime", task, tuple(_inputs(found)))


def _inputs(estimator: Any) -> list[Tensor]:
    """What an estimator takes, as far as it says so."""
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    if hasattr(first, "transformers_"):
        return _columns(first)
    if hasattr(first, "build_analyzer"):  # of texts
        return [{"name": "predict", "datatype": "BYTES", "shape": [-1]}]
    features = getattr(estimator, "n_features_in_", getattr(first, "n_features_in_", None))
    if features is None or _of_words(first):
        return []
    return [{"name": "predict", "datatype": "FP64", "shape": [-1, int(features)]}]


def _columns(transformer: Any) -> list[Tensor]:
    """The columns of a frame, by name; none where they are numbered."""
    names = getattr(transformer, "feature_names_in_", None)
    if names is None:
        return []
    words = set[str]()
    for _, each, columns in transformer.transformers_:
        first = each.steps[0][1] if hasattr(each, "steps") else each
        if _of_words(first):
            words |= {columns} if isinstance(columns, str) else {str(name) for name in columns}
    return [
        {"name": str(name), "datatype": "BYTES" if name in words else "FP64", "shape": [-1, 1]}
        for name in names
    ]


def _of_words(step: Any) -> bool:
    """Whether a fitted step takes words."""
    if hasattr(step, "build_analyzer"):
        return True
    categories = getattr(step, "categories_", None) or ()
    kinds = [getattr(getattr(each, "dtype", None), "kind", "") for each in categories]
    statistics = getattr(getattr(step, "statistics_", None), "dtype", None)
    return any(kind in "OUST" for kind in kinds if kind) or getattr(statistics, "kind", "") == "O"


def _xgboost(path: Path) -> ModelFile:
    implementation = "mlserver_xgboost.XGBoostModel"
    if path.suffix.lower() == ".ubj":
        with path.open("rb") as file:
            if file.read(1) != b"{" or b"learner" not in file.read(2**16):
                raise _no_xgboost(path)
        return ModelFile(path, implementation)
    try:
        if path.stat().st_size > _MOST_BYTES:
            return ModelFile(path, implementation)
        learner = json.loads(path.read_bytes())["learner"]
        features = int(learner["learner_model_param"]["num_feature"])
        objective = str(learner["objective"]["name"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _no_xgboost(path) from None
    task = "classifier" if objective.startswith(("binary:", "multi:")) else "regressor"
    inputs = {"name": "predict", "datatype": "FP64", "shape": [-1, features]}
    return ModelFile(path, implementation, task, (inputs,))


def _no_xgboost(path: Path) -> UsageError:
    return UsageError(
        f"--model {path}: not a model of XGBoost",
        f'model.save_model("{path.stem}{path.suffix}") writes one; {_KNOWN}',
    )


def _lightgbm(path: Path) -> ModelFile:
    with path.open("rb") as file:
        head = file.read(2**20).decode("utf-8", "replace").splitlines()
    said = dict(line.partition("=")[::2] for line in head if "=" in line)
    if not head or head[0].strip() != "tree" or not said.get("max_feature_idx", "").isdecimal():
        raise UsageError(
            f"--model {path}: not a model of LightGBM",
            f'model.booster_.save_model("{path.name}") writes one; {_KNOWN}',
        )
    objective = said.get("objective", "").partition(" ")[0]
    classes = ("binary", "multiclass", "multiclassova", "cross_entropy")
    task = "classifier" if objective in classes else "regressor"
    shape = [-1, int(said["max_feature_idx"]) + 1]
    inputs = {"name": "predict", "datatype": "FP64", "shape": shape}
    return ModelFile(path, "mlserver_lightgbm.LightGBMModel", task, (inputs,))
