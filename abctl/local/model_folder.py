"""A folder that MLServer serves: what its settings say, its digest, and what will not be counted.

Loading a model runs what is in it, so all of this is looked at before anything is loaded.
"""

import ast
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from abctl import installation
from abctl.core.experiment import Variant
from abctl.errors import NotFoundError, SpecError
from abctl.files import read
from abctl.foreign import in_one_line

SETTINGS, SERVER_SETTINGS = "model-settings.json", "settings.json"
_FORMAT = "its format: docs.seldon.ai/mlserver"
# Packages of MLServer's own runtimes, by the modules in `implementation`.
_RUNTIMES = ("alibi-explain", "catboost", "huggingface", "lightgbm", "mlflow", "sklearn", "xgboost")
_PACKAGES = {f"mlserver_{name.replace('-', '_')}": f"mlserver-{name}" for name in _RUNTIMES}
_CHUNK = 2**20


@dataclass(frozen=True)
class ModelFolder:
    """The folder of a variant's model, with what its settings say.

    `renamed` is whether the model may be served under another name than they say, `changed`
    whether they are no longer what is in the file.
    """

    place: Path
    settings: Mapping[str, Any]
    renamed: bool = False
    changed: bool = False

    @classmethod
    def at(cls, place: Path, *, renamed: bool = False) -> "ModelFolder":
        """The folder at a place.

        Raises:
            NotFoundError: there is no model.
            SpecError: its settings cannot be read.
        """
        return cls(place, settings_of(place / SETTINGS), renamed)

    @property
    def name(self) -> str:
        """The name under which MLServer serves it."""
        return str(self.settings.get("name") or self.place.name)

    @property
    def implementation(self) -> str:
        """The class that serves it."""
        return str(self.settings.get("implementation") or "")

    @property
    def uri(self) -> str:
        """Where the model is, as the settings say; empty where they do not."""
        parameters = self.settings.get("parameters")
        return str((parameters or {}).get("uri") or "")

    @property
    def artefact(self) -> Path:
        """What is loaded: a file or a folder; all of the folder where nothing is named."""
        return (self.place / self.uri.removeprefix("file://")).resolve()

    @property
    def is_fetched(self) -> bool:
        """Whether the settings name a URL."""
        return "://" in self.uri and not self.uri.startswith("file://")

    @property
    def reaches_out(self) -> bool:
        """Whether what is loaded is beside the folder, by a path from within."""
        path = os.path.normpath(self.uri.removeprefix("file://"))
        return not self.is_fetched and path.startswith(os.pardir)


def model_folder(variant: Variant, models_dir: Path | None) -> ModelFolder:
    """The folder that a variant's model is served from.

    Args:
        variant: its model names a folder, or a version.
        models_dir: has a folder for each version.

    Raises:
        NotFoundError: there is no model.
        SpecError: its settings cannot be read.
    """
    named = variant.model.path is not None
    place = Path(variant.model.path or (models_dir or Path()) / variant.model.version)
    found = ModelFolder.at(place, renamed=named)
    if found.uri and not found.is_fetched and not found.artefact.exists():
        message = f"no model of variant {variant.name}: {found.artefact} does not exist"
        raise NotFoundError(message, elsewhere(place))
    return found


def check(variant: Variant, folder: ModelFolder) -> Iterator[str]:
    """Make sure that a model is the one that is meant, and that it can be served; gives remarks.

    Raises:
        SpecError: its digest is not that of the experiment.
        UsageError: the package that serves it is not installed.
    """
    module = folder.implementation.partition(".")[0]
    package = required_package(folder.implementation)
    if package is not None and find_spec(module) is None:
        raise installation.lacks_package(f"variant {variant.name}: {module}", package)
    wanted = variant.model.sha256
    artefact = folder.artefact
    if wanted is not None and (found := digest(artefact)) != wanted:
        raise another(variant, artefact, found)
    beside = artefact.with_name(f"{artefact.name}.sha256")
    if wanted is None and not beside.is_file():
        yield (
            f"warning: the model of {variant.name} has no digest to check it by; "
            f"model.sha256 would be what this prints: {recipe(artefact)}"
        )


def another(variant: Variant, what: object, found: str) -> SpecError:
    """The error of a model that is not the one that its variant says."""
    return SpecError(
        f"variant {variant.name}: the SHA-256 of {what} is {found}, but model.sha256 says "
        f"{variant.model.sha256}",
        f"put the model back; or, if it is the one that you mean: sha256: {found}",
    )


def uncounted(folder: ModelFolder) -> Iterator[str]:
    """What the folder's server may answer besides, and nobody counts, by name."""
    place = folder.place.resolve()
    others = sorted(
        str(settings_of(each).get("name") or each.parent.name)
        for each in place.rglob(SETTINGS)
        if each.parent != place and not any(map(_is_left_out, each.relative_to(place).parts))
    )
    if others:
        yield f"requests for {in_one_line(', '.join(others))}, which the same server has"
    if settings_of(place / SERVER_SETTINGS, missing={}).get("kafka_enabled"):
        yield f"requests by Kafka ({SERVER_SETTINGS})"
    module = folder.implementation.rpartition(".")[0].replace(".", "/")
    if module and (place / f"{module}.py").is_file() and (paths := _handlers(place, module)):
        yield f"requests to {in_one_line(', '.join(paths))} (custom handlers in {module}.py)"


def _is_left_out(name: str) -> bool:
    """Whether a file or folder is none of the model's own: hidden, or Python's."""
    return name.startswith(".") or name == "__pycache__"


def _handlers(place: Path, module: str) -> list[str]:
    """The paths of custom handlers, as the source says them."""
    try:
        tree = ast.parse(read(place / f"{module}.py"))
    except (SyntaxError, ValueError, RecursionError, OSError):
        return []  # MLServer says what is wrong with it
    return sorted(
        str(word.value.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("custom_handler")
        for word in call.keywords
        if word.arg == "rest_path" and isinstance(word.value, ast.Constant)
    )


def digest(artefact: Path) -> str:
    """The SHA-256 of a file; of a folder, that of the list that `recipe` makes of its files."""
    if artefact.is_file():
        return _of_file(artefact)
    files = (each for each in artefact.rglob("*") if each.is_file())
    names = (each.relative_to(artefact) for each in files)
    kept = sorted(f"./{each}".encode() for each in names if not any(map(_is_left_out, each.parts)))
    lines = (f"{_of_file(artefact / name.decode())}  ".encode() + name + b"\n" for name in kept)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def recipe(artefact: Path) -> str:
    """The command that prints `digest`."""
    place = shlex.quote(str(artefact))
    if artefact.is_file():
        return f"sha256sum {place}"
    files = "find . -name '.?*' -prune -o -name __pycache__ -prune -o -type f -print0"
    return f"(cd {place} && {files} | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum"


def _of_file(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def required_package(implementation: str) -> str | None:
    """The package of MLServer's that has a runtime, for an installer; None for any other one."""
    name = _PACKAGES.get(implementation.partition(".")[0])
    if name is None:
        return None
    try:
        return f"{name}=={version('mlserver')}"
    except PackageNotFoundError:
        return name


def elsewhere(place: Path) -> str:
    """What to do where there is no model."""
    source = place.parent / "train.py"
    makes = f"python {source} makes those of that folder; " if source.is_file() else ""
    return f"{makes}--models names the folder that has one for each version"


def settings_of(path: Path, missing: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a file of settings holds.

    Args:
        path: the file.
        missing: what holds where there is none.

    Raises:
        NotFoundError: there is none.
        SpecError: it is not a mapping in JSON.
    """
    try:
        data = json.loads(read(path))
    except (FileNotFoundError, NotADirectoryError):
        if missing is None:
            hint = elsewhere(path.parent)
            raise NotFoundError(f"no model: {path} does not exist", hint) from None
        return dict(missing)
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}", _FORMAT) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not JSON: {error}", _FORMAT) from None
    if not isinstance(data, dict):
        raise SpecError(f"{path}: must be a mapping", _FORMAT)
    return data
