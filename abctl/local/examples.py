"""The example models: Iris v1 and v2, alike on held-out flowers, and v3, worse and slower.

They are trained where they are wanted, which takes about a second: a model that was pickled
elsewhere need not be one here.
"""

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abctl.core.experiment import Variant
from abctl.errors import NotFoundError
from abctl.files import replace, replacing

SEED = 42
NAME = "iris"
VERSIONS = ("v1", "v2", "v3")
_SETTINGS = """\
{
  "debug": false,
  "gzip_enabled": false,
  "parallel_workers": 0
}
"""
_MODEL_SETTINGS = """\
{
  "name": "iris",
  "implementation": "ab_runtime.ABRuntime",
  "parameters": {"uri": "./model.joblib", "version": "VERSION"}
}
"""


@dataclass(frozen=True)
class Trained:
    """A model, what it is, and its accuracy on the 30% of the data that were held out."""

    version: str
    what: str
    model: Any
    accuracy: float


def made(variants: Iterable[Variant], folder: Path, report: Callable[[str], None]) -> Path:
    """A folder of the example models that variants name, trained on the spot.

    Raises:
        NotFoundError: a variant names another model.
    """
    wanted = {variant.name: variant.model for variant in variants}
    for variant, model in wanted.items():
        if model.name != NAME or model.version not in VERSIONS:
            raise NotFoundError(
                f"no model of variant {variant}: {model.name} {model.version} is not among abctl's "
                f"examples ({NAME} {', '.join(VERSIONS)})",
                "--models names the folder that has one for each version",
            )
    trained = write(folder, {model.version for model in wanted.values()})
    found = ", ".join(f"{each.version} {each.accuracy:.1%} right" for each in trained)
    report(f"trained the example models: {found}")
    return folder


def train(versions: Collection[str] = VERSIONS) -> Iterator[Trained]:
    """Those of the example models that are named."""
    import numpy as np  # noqa: PLC0415 - these take a second
    from sklearn.datasets import load_iris  # noqa: PLC0415
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    rows, labels = load_iris(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        rows, labels, test_size=0.3, stratify=labels, random_state=SEED
    )
    wrong = y_train.copy()
    rng = np.random.default_rng(SEED)
    shuffled = rng.choice(len(wrong), size=len(wrong) // 2, replace=False)
    wrong[shuffled] = rng.permutation(wrong[shuffled])
    forest = RandomForestClassifier(20, random_state=SEED)
    recipes = {
        "v1": ("LogisticRegression(C=1)", LogisticRegression(max_iter=1000), y_train),
        "v2": ("LogisticRegression(C=0.03)", LogisticRegression(C=0.03, max_iter=1000), y_train),
        "v3": ("20 trees, half of the labels shuffled", forest, wrong),
    }
    for version in VERSIONS:
        if version in versions:
            what, model, y = recipes[version]
            model.fit(x_train, y)
            yield Trained(version, what, model, float(model.score(x_test, y_test)))


def write(folder: Path, versions: Collection[str] = VERSIONS) -> list[Trained]:
    """Train models and write for each a folder that the runtime serves; what was trained.

    Raises:
        UsageError: they cannot be written.
    """
    trained = list(train(versions))
    for each in trained:
        _save(each, folder / each.version)
    return trained


def _save(trained: Trained, folder: Path) -> None:
    """The model, its SHA-256 as `sha256sum -c` reads it, and settings for MLServer."""
    import joblib  # noqa: PLC0415

    buffer = io.BytesIO()
    joblib.dump(trained.model, buffer)
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("settings.json", _SETTINGS),
        ("model-settings.json", _MODEL_SETTINGS.replace("VERSION", trained.version)),
        ("model.joblib.sha256", f"{hashlib.sha256(content).hexdigest()}  model.joblib\n"),
    ):
        replace(folder / name, text)
    with replacing(folder / "model.joblib") as file:
        file.write(content)
