"""Writes a first experiment of models that somebody has: its file, and a folder for each model."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from abctl import installation, spec
from abctl.errors import UsageError
from abctl.files import replace, replacing, writing
from abctl.local.model_files import ModelFile, model_file
from abctl.local.model_folder import (
    SETTINGS,
    ModelFolder,
    digest,
    required_package,
)
from abctl.spec.fields import EXPERIMENT_NAME, UnfitError
from abctl.spec.init import require_new, starter_text, with_schema

FOLDER = "models"
_LONG = 64
_PLATFORM = "envoy"
_SETTINGS = {"debug": False, "gzip_enabled": False, "parallel_workers": 0}
# What each outcome is: its kind, which way is better, and the smallest effect worth finding.
OUTCOMES = {
    "accuracy": ("proportion", "increase", "2pp", "1 for a right prediction, 0 for a wrong one"),
    "correct": ("proportion", "increase", "2pp", "1 for a right prediction, 0 for a wrong one"),
    "absolute_error": ("mean", "decrease", "5%", "of a prediction, in its own unit"),
    "squared_error": ("mean", "decrease", "5%", "of a prediction, in its unit squared"),
}
_WITHOUT = "mde: 10%                # the smallest effect worth finding"
_PRIMARY = "role: primary           # beside an outcome: guardrail, and margin: 10% in place of mde"


@dataclass(frozen=True)
class Written:
    """What `init_models` wrote, and what there is to say about it.

    >>> Written((Path("digits.yaml"),), remarks=()).files[0].name
    'digits.yaml'
    """

    files: tuple[Path, ...]
    remarks: tuple[str, ...]


def init_models(
    path: Path,
    name: str | None,
    models: Sequence[Path],
    *,
    outcome: str | None = None,
    force: bool = False,
) -> Written:
    """Write an experiment of models: the first is the control.

    One model alone makes an A/A test. A folder of MLServer stays where it is; a file is copied into
    a folder of its own beside the experiment, so that what is served does not change with it.

    Args:
        path: the experiment file.
        name: of the experiment; that of the file if None.
        models: files and folders, a variant each.
        outcome: what feedback tells of a prediction, which then decides; None without feedback.
        force: overwrite what is there.

    Raises:
        NotFoundError: a model does not exist.
        SpecError: settings of a folder that cannot be read.
        UsageError: a model of which nothing is known, a name that no experiment can have, or
            something that exists or cannot be written.
    """
    if outcome is not None and outcome not in OUTCOMES:
        raise UsageError(
            f"--outcome {outcome}: nothing is known of it, known are {', '.join(OUTCOMES)}",
            "leave it out, and write a metric of your own into the file",
        )
    require_new(path, force=force)
    name = _name(path) if name is None else name
    found = [model_file(each) for each in models]
    versions = _versions(found)
    beside = path.parent / FOLDER / name
    folders = [
        each.path if each.served_as_it_is else beside / version
        for each, version in zip(found, versions, strict=True)
    ]
    remarks = [remark for each in found for remark in _remarks(each)]
    served = ModelFolder.at(found[0].path).name if found[0].served_as_it_is else name
    taken = [to for to, each in zip(folders, found, strict=True) if not each.served_as_it_is]
    if not force and (there := [each for each in taken if each.exists()]):
        raise UsageError(f"{there[0]} exists already", "another --name, or --force to overwrite it")
    made = list[Path]()
    digests = list[str | None]()
    for each, folder, version in zip(found, folders, versions, strict=True):
        own = not each.served_as_it_is
        if own and folder not in made:
            _write(each, folder, served, version)
            made.append(folder)
        digests.append(digest(folder / _file_name(each)) if own else None)
    if len(models) == 1:
        remarks.append("one model: both variants serve it, an A/A test; --model again adds another")
        folders, versions, digests = folders * 2, versions * 2, digests * 2
    variants = _variants(served, folders, versions, digests, path.parent)
    text = starter_text(name, _PLATFORM, variants=variants, metrics=_metrics(found, outcome))
    spec.parse(text, "the new file")
    written = with_schema(path, text)
    return Written((*written, *made), tuple(dict.fromkeys(remarks)))


def _name(path: Path) -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", path.stem.lower()).strip("-")
    try:
        return str(EXPERIMENT_NAME.parse(name))
    except UnfitError:
        return "experiment"


def _versions(found: Sequence[ModelFile]) -> list[str]:
    """The names of the files, where they are names and tell the models apart."""
    names = [
        re.sub(r"[^A-Za-z0-9_+-]+", "-", each.path.resolve().stem).strip("-+") for each in found
    ]
    places = {name: set[Path]() for name in names}
    for each, name in zip(found, names, strict=True):
        places[name].add(each.path.resolve())
    return [
        name if name and len(name) < _LONG and len(places[name]) == 1 else f"v{i + 1}"
        for i, name in enumerate(names)
    ]


def _remarks(found: ModelFile) -> Iterator[str]:
    own = not found.served_as_it_is
    implementation = found.implementation if own else ModelFolder.at(found.path).implementation
    package = required_package(implementation)
    if package is not None and find_spec(implementation.partition(".")[0]) is None:
        name, command = package.partition("=")[0], installation.adding(package)
        yield f"{found.path} is served by {name}, which is not installed: {command}"
    if own and not (found.inputs or found.describes_itself):
        yield (
            f"{found.path} does not say what it takes: abctl simulate needs --data, or `inputs` in "
            f"its {SETTINGS}"
        )


def _write(found: ModelFile, folder: Path, served: str, version: str) -> None:
    settings: dict[str, Any] = {
        "name": served,
        "implementation": found.implementation,
        "parameters": {"uri": f"./{_file_name(found)}", "version": version},
    }
    if found.content_type:
        settings["parameters"]["content_type"] = found.content_type
    if found.inputs:
        settings["inputs"] = [dict(each) for each in found.inputs]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        to = folder / _file_name(found)
        if found.path.is_dir():
            shutil.copytree(found.path, to, dirs_exist_ok=True)
        else:
            with replacing(to) as file, found.path.open("rb") as source:
                shutil.copyfileobj(source, file)
    replace(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
    replace(folder / "settings.json", json.dumps(_SETTINGS, indent=2) + "\n")


def _file_name(found: ModelFile) -> str:
    return "model" if found.path.is_dir() else f"model{found.path.suffix.lower()}"


def _variants(
    served: str,
    folders: Sequence[Path],
    versions: Sequence[str],
    digests: Sequence[str | None],
    parent: Path,
) -> str:
    count = len(folders) - 1
    share = min(10, 50 // count)
    names = [
        "control",
        *(["treatment"] if count == 1 else (f"treatment-{i + 1}" for i in range(count))),
    ]
    shares = [100 - share * count, *[share] * count]
    lines = ["  variants:"]
    for name, part, folder, version, found in zip(
        names, shares, folders, versions, digests, strict=True
    ):
        lines += [
            f"    - name: {name}",
            f"      split: {part}%",
            "      model:",
            f"        name: {json.dumps(served)}",
            f"        version: {json.dumps(version)}",
            f"        path: {json.dumps(os.path.relpath(folder, parent))}",
        ]
        if found is not None:
            lines.append(f"        sha256: {found}")
    return "\n".join(lines) + "\n"


def _metrics(found: Sequence[ModelFile], outcome: str | None) -> str:
    regression = all(each.task == "regressor" for each in found)
    text = (files("abctl.spec") / "starter_models.yaml").read_text(encoding="utf-8")
    shown = outcome or ("absolute_error" if regression else "accuracy")
    kind, direction, mde, meaning = OUTCOMES[shown]
    lines = [
        f"- name: {shown.replace('_', '-'):<16}# {meaning}",
        "  role: primary",
        f"  kind: {kind}",
        f"  of: {shown}",
        f"  direction: {direction}",
        f"  mde: {mde}",
    ]
    if outcome is None:
        return text.replace("OUTCOME", "\n".join(f"    # {line}" for line in lines))
    comment = text.index("    # Without feedback"), text.index("OUTCOME")
    text = text[: comment[0]] + text[comment[1] :]
    text = text.replace("OUTCOME", "\n".join(f"    {line}" for line in lines))
    guarded = "role: guardrail", "margin: 10%"
    for before, after in zip((_PRIMARY, _WITHOUT), guarded, strict=True):
        text = text.replace(before, after)
    return text
